// Signatures in minisign's format (Ed25519 over BLAKE2b-512), interoperable with the program
// `minisign` both ways. https://jedisct1.github.io/minisign/
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace moecollab::registry {

// Fixed: a package's bytes are a function of its contents.
inline constexpr const char* kUntrustedComment =
    "untrusted comment: signature of a MoECollab package";

struct PublicKey {
  std::array<uint8_t, 8> id{};
  std::array<uint8_t, 32> key{};

  std::string id_text() const;  // as minisign prints it: 16 hexadecimal digits
  // The one line of base64, as in [[trust]] key and in the second line of a .pub file.
  std::string text() const;
  // Takes that line, or a whole .pub file. Throws E_PLUG_SIG_KEY saying what is wrong.
  static PublicKey parse(std::string_view text);
};

class SecretKey {
 public:
  // From the system's generator.
  static SecretKey generate();
  // A minisign secret key file. Throws E_PLUG_SIG_KEY for a malformed one, a missing or a wrong
  // password.
  static SecretKey parse(std::string_view file, const std::optional<std::string>& password);
  ~SecretKey();  // wipes it
  SecretKey(SecretKey&&) noexcept = default;

  // The file, encrypted (scrypt) if there is a password.
  std::string file(const std::optional<std::string>& password) const;
  PublicKey public_key() const;
  // The .minisig file over `bytes`. The trusted comment is signed too; it is one line.
  std::string sign(std::string_view bytes, const std::string& trusted_comment) const;

 private:
  SecretKey() = default;
  std::array<uint8_t, 8> id_{};
  std::array<uint8_t, 64> key_{};
};

struct Signature {
  std::array<uint8_t, 8> key_id{};
  std::array<uint8_t, 64> signature{}, global{};
  bool prehashed = true;
  std::string trusted_comment;

  std::string key_id_text() const;
  // Throws E_PLUG_SIG_FORMAT naming the line.
  static Signature parse(std::string_view file);
};

// The .minisig file with kUntrustedComment in its first line, which nobody signs.
std::string with_fixed_comment(const std::string& signature);

// Throws E_PLUG_SIG_KEY_ID if the signature is by another key, E_PLUG_SIG if the bytes are
// not those that were signed, E_PLUG_SIG_COMMENT if only the trusted comment was changed.
// `what` is named in refusals.
void verify(const Signature& signature, const PublicKey& key, std::string_view bytes,
            const std::string& what);

}  // namespace moecollab::registry
