#include "registry/minisign.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::registry {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr std::string_view kTrusted = "trusted comment: ", kUntrusted = "untrusted comment: ";
constexpr char kSignature[] = "Ed", kPrehashed[] = "ED", kScrypt[] = "Sc", kBlake[] = "B2";
constexpr size_t kSalt = 32, kPublicBytes = 2 + 8 + 32, kSignatureBytes = 2 + 8 + 64;
constexpr size_t kPlain = 8 + 64 + 32;  // key number, key, checksum
constexpr size_t kSecretBytes = 2 + 2 + 2 + kSalt + 8 + 8 + kPlain;

[[noreturn]] void refuse(const char* kind, const std::string& what, const std::string& hint = "") {
  throw Error(fmt::format("E_PLUG_SIG{}", kind), what, hint);
}

void start() {
  if (sodium_init() < 0) throw Error("E_INTERNAL", "libsodium could not be started");
}

std::string base64(std::span<const uint8_t> bytes) {
  std::string text(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(),
                    sodium_base64_VARIANT_ORIGINAL);
  text.pop_back();  // the NUL
  return text;
}

// Exactly `size` bytes, or nothing.
std::optional<Bytes> from_base64(std::string_view text, size_t size) {
  Bytes bytes(size);
  size_t length = 0;
  const char* end = nullptr;
  const int status = sodium_base642bin(bytes.data(), size, text.data(), text.size(), nullptr,
                                       &length, &end, sodium_base64_VARIANT_ORIGINAL);
  if (status != 0 || length != size || end != text.data() + text.size()) return std::nullopt;
  return bytes;
}

// Lines without their ends; a last empty one is left out.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

std::string hex_id(const std::array<uint8_t, 8>& id) {
  uint64_t number = 0;  // little-endian
  for (size_t i = id.size(); i-- > 0;) number = number << 8 | id[i];
  return fmt::format("{:016X}", number);
}

void put64(uint8_t* to, uint64_t value) {
  for (int i = 0; i < 8; ++i) to[i] = static_cast<uint8_t>(value >> (8 * i));
}
uint64_t get64(const uint8_t* from) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | from[i];
  return value;
}

// XORs the plain part of a secret key with the stream that the password gives.
void apply_password(uint8_t* plain, const std::string& password, const uint8_t* salt,
                    uint64_t operations, uint64_t memory) {
  Bytes stream(kPlain);
  if (memory > uint64_t{2} << 30 ||
      crypto_pwhash_scryptsalsa208sha256(stream.data(), stream.size(), password.data(),
                                         password.size(), salt, operations,
                                         static_cast<size_t>(memory)) != 0) {
    refuse("_KEY", "the key's scrypt parameters ask for too much memory",
           "make a new key with `moecollab keygen`");
  }
  for (size_t i = 0; i < kPlain; ++i) plain[i] ^= stream[i];
  sodium_memzero(stream.data(), stream.size());
}

std::array<uint8_t, 32> checksum(const uint8_t* id_and_key) {
  std::array<uint8_t, 32> digest;
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, digest.size());
  crypto_generichash_update(&state, reinterpret_cast<const uint8_t*>(kSignature), 2);
  crypto_generichash_update(&state, id_and_key, 8 + 64);
  crypto_generichash_final(&state, digest.data(), digest.size());
  return digest;
}

std::array<uint8_t, 64> message_of(std::string_view bytes) {
  std::array<uint8_t, 64> digest;
  crypto_generichash(digest.data(), digest.size(), reinterpret_cast<const uint8_t*>(bytes.data()),
                     bytes.size(), nullptr, 0);
  return digest;
}

}  // namespace

std::string PublicKey::id_text() const { return hex_id(id); }

std::string PublicKey::text() const {
  Bytes bytes(kPublicBytes);
  std::memcpy(bytes.data(), kSignature, 2);
  std::copy(id.begin(), id.end(), bytes.begin() + 2);
  std::copy(key.begin(), key.end(), bytes.begin() + 10);
  return base64(bytes);
}

PublicKey PublicKey::parse(std::string_view text) {
  start();
  const std::vector<std::string_view> lines = lines_of(text);
  std::string_view line = lines.empty() ? "" : lines.back();
  if (line.ends_with('\r')) line.remove_suffix(1);
  const auto bytes = from_base64(line, kPublicBytes);
  if (!bytes || std::memcmp(bytes->data(), kSignature, 2) != 0) {
    refuse("_KEY", fmt::format("{} is no minisign public key", escaped(line, 80)),
           "give the line of 56 base64 characters from the .pub file");
  }
  PublicKey result;
  std::copy_n(bytes->begin() + 2, 8, result.id.begin());
  std::copy_n(bytes->begin() + 10, 32, result.key.begin());
  return result;
}

SecretKey::~SecretKey() { sodium_memzero(key_.data(), key_.size()); }

SecretKey SecretKey::generate() {
  start();
  SecretKey secret;
  std::array<uint8_t, 32> unused;
  crypto_sign_keypair(unused.data(), secret.key_.data());
  randombytes_buf(secret.id_.data(), secret.id_.size());
  return secret;
}

PublicKey SecretKey::public_key() const {
  PublicKey result;
  result.id = id_;
  crypto_sign_ed25519_sk_to_pk(result.key.data(), key_.data());
  return result;
}

std::string SecretKey::file(const std::optional<std::string>& password) const {
  start();
  Bytes bytes(kSecretBytes);
  uint8_t* at = bytes.data();
  std::memcpy(at, kSignature, 2);
  if (password) std::memcpy(at + 2, kScrypt, 2);
  std::memcpy(at + 4, kBlake, 2);
  uint8_t *salt = at + 6, *limits = salt + kSalt, *plain = limits + 16;
  std::copy(id_.begin(), id_.end(), plain);
  std::copy(key_.begin(), key_.end(), plain + 8);
  if (password) {  // minisign leaves the checksum of a readable key at 0
    const auto sum = checksum(plain);
    std::copy(sum.begin(), sum.end(), plain + 8 + 64);
    const uint64_t operations = crypto_pwhash_scryptsalsa208sha256_OPSLIMIT_SENSITIVE,
                   memory = crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_SENSITIVE;
    randombytes_buf(salt, kSalt);
    put64(limits, operations);
    put64(limits + 8, memory);
    apply_password(plain, *password, salt, operations, memory);
  }
  std::string text = fmt::format("untrusted comment: minisign {}secret key {}\n{}\n",
                                 password ? "encrypted " : "", hex_id(id_), base64(bytes));
  sodium_memzero(bytes.data(), bytes.size());
  return text;
}

SecretKey SecretKey::parse(std::string_view file, const std::optional<std::string>& password) {
  start();
  const std::vector<std::string_view> lines = lines_of(file);
  auto bytes = lines.size() < 2 ? std::nullopt : from_base64(lines[1], kSecretBytes);
  if (!bytes || std::memcmp(bytes->data(), kSignature, 2) != 0 ||
      std::memcmp(bytes->data() + 4, kBlake, 2) != 0) {
    refuse("_KEY", "the file is no minisign secret key", "make one with `moecollab keygen`");
  }
  uint8_t *salt = bytes->data() + 6, *limits = salt + kSalt, *plain = limits + 16;
  const bool encrypted = std::memcmp(bytes->data() + 2, kScrypt, 2) == 0;
  if (encrypted && !password)
    refuse("_KEY", "the secret key is encrypted", "give its password with --password-file");
  if (encrypted) apply_password(plain, *password, salt, get64(limits), get64(limits + 8));
  const auto sum = checksum(plain);
  if (encrypted && sodium_memcmp(sum.data(), plain + 8 + 64, sum.size()) != 0)
    refuse("_KEY", "the password is wrong");
  SecretKey secret;
  std::copy_n(plain, 8, secret.id_.begin());
  std::copy_n(plain + 8, 64, secret.key_.begin());
  sodium_memzero(bytes->data(), bytes->size());
  return secret;
}

std::string SecretKey::sign(std::string_view bytes, const std::string& trusted_comment) const {
  start();
  const auto digest = message_of(bytes);
  Bytes signature(kSignatureBytes);
  std::memcpy(signature.data(), kPrehashed, 2);
  std::copy(id_.begin(), id_.end(), signature.begin() + 2);
  crypto_sign_detached(signature.data() + 10, nullptr, digest.data(), digest.size(), key_.data());
  Bytes signed_together(signature.begin() + 10, signature.end());
  signed_together.insert(signed_together.end(), trusted_comment.begin(), trusted_comment.end());
  std::array<uint8_t, 64> global;
  crypto_sign_detached(global.data(), nullptr, signed_together.data(), signed_together.size(),
                       key_.data());
  return fmt::format("{}\n{}\n{}{}\n{}\n", kUntrustedComment, base64(signature), kTrusted,
                     trusted_comment, base64(global));
}

std::string Signature::key_id_text() const { return hex_id(key_id); }

Signature Signature::parse(std::string_view file) {
  start();
  const std::vector<std::string_view> lines = lines_of(file);
  const auto malformed = [](int line, const char* expected) {
    refuse("_FORMAT", fmt::format("line {} of the signature is not {}", line, expected),
           "sign the package again");
  };
  if (lines.size() != 4 || !file.ends_with('\n'))
    malformed(static_cast<int>(lines.size()), "the last of four");
  if (!lines[0].starts_with(kUntrusted)) malformed(1, "an untrusted comment");
  const auto first = from_base64(lines[1], kSignatureBytes);
  if (!first) malformed(2, "a signature in base64");
  const bool prehashed = std::memcmp(first->data(), kPrehashed, 2) == 0;
  if (!prehashed && std::memcmp(first->data(), kSignature, 2) != 0)
    malformed(2, "of the algorithm Ed25519");
  if (!lines[2].starts_with(kTrusted)) malformed(3, "a trusted comment");
  const auto second = from_base64(lines[3], 64);
  if (!second) malformed(4, "a signature in base64");
  Signature result;
  result.prehashed = prehashed;
  result.trusted_comment = lines[2].substr(kTrusted.size());
  std::copy_n(first->begin() + 2, 8, result.key_id.begin());
  std::copy_n(first->begin() + 10, 64, result.signature.begin());
  std::copy_n(second->begin(), 64, result.global.begin());
  return result;
}

std::string with_fixed_comment(const std::string& signature) {
  const size_t end = signature.find('\n');
  return end == std::string::npos ? signature : kUntrustedComment + signature.substr(end);
}

void verify(const Signature& signature, const PublicKey& key, std::string_view bytes,
            const std::string& what) {
  start();
  if (signature.key_id != key.id) {
    refuse("_KEY_ID", fmt::format("{} is signed by key {}, not by {}", what,
                                  signature.key_id_text(), key.id_text()));
  }
  const auto digest = message_of(bytes);
  const auto* message =
      signature.prehashed ? digest.data() : reinterpret_cast<const uint8_t*>(bytes.data());
  const size_t size = signature.prehashed ? digest.size() : bytes.size();
  if (crypto_sign_verify_detached(signature.signature.data(), message, size, key.key.data()) != 0) {
    refuse("", fmt::format("{} is not what key {} signed", what, key.id_text()),
           "get the package again from its publisher");
  }
  Bytes together(signature.signature.begin(), signature.signature.end());
  together.insert(together.end(), signature.trusted_comment.begin(),
                  signature.trusted_comment.end());
  if (crypto_sign_verify_detached(signature.global.data(), together.data(), together.size(),
                                  key.key.data()) != 0) {
    refuse("_COMMENT", fmt::format("the trusted comment of {}'s signature was changed", what),
           "get the package again from its publisher");
  }
}

}  // namespace moecollab::registry
