// SHA-256, the digest of everything that this project identifies by content.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace moecollab {

using Digest = std::array<uint8_t, 32>;

// Incremental SHA-256 (OpenSSL). One object, one message.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  Sha256& update(std::string_view bytes);
  Digest finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Digest sha256(std::string_view bytes);

// 64 lowercase hexadecimal digits.
std::string to_hex(std::span<const uint8_t> bytes);
std::string sha256_hex(std::string_view bytes);

// Base64 with padding (RFC 4648).
std::string to_base64(std::span<const uint8_t> bytes);

// Digest of a regular file's bytes. Throws `code` naming path and errno if it cannot be read.
std::string file_sha256_hex(const std::filesystem::path& path, const std::string& code);
// The same, or "none" if there is no such file.
std::string file_sha256_or_none(const std::filesystem::path& path, const std::string& code);

}  // namespace moecollab
