#include "base/digest.h"

#include <openssl/evp.h>

#include "base/error.h"
#include "base/files.h"

namespace moecollab {

struct Sha256::Context {
  EVP_MD_CTX* md = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(md); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  if (context_->md == nullptr || EVP_DigestInit_ex(context_->md, EVP_sha256(), nullptr) != 1) {
    throw Error("E_INTERNAL", "OpenSSL cannot start a SHA-256 digest");
  }
}

Sha256::~Sha256() = default;

Sha256& Sha256::update(std::string_view bytes) {
  EVP_DigestUpdate(context_->md, bytes.data(), bytes.size());
  return *this;
}

Digest Sha256::finish() {
  Digest digest;
  EVP_DigestFinal_ex(context_->md, digest.data(), nullptr);
  return digest;
}

Digest sha256(std::string_view bytes) { return Sha256().update(bytes).finish(); }

std::string to_hex(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

std::string sha256_hex(std::string_view bytes) { return to_hex(sha256(bytes)); }

std::string to_base64(std::span<const uint8_t> bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // and a terminator
  text.resize(static_cast<size_t>(EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                                  bytes.data(), static_cast<int>(bytes.size()))));
  return text;
}

std::string file_sha256_hex(const std::filesystem::path& path, const std::string& code) {
  Sha256 digest;
  for_each_chunk(path, code, [&](std::string_view chunk) { digest.update(chunk); });
  return to_hex(digest.finish());
}

std::string file_sha256_or_none(const std::filesystem::path& path, const std::string& code) {
  std::error_code none;
  return std::filesystem::exists(path, none) ? file_sha256_hex(path, code) : "none";
}

}  // namespace moecollab
