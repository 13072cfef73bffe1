#include "registry/minisign.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

using ::testing::HasSubstr;

// Made by minisign 0.11: `minisign -G -W` and `minisign -S -t 'com.example.x 1.0.0'`.
constexpr char kPublic[] = "RWTDx1GfJjsTMIsCu62pcPc7H/x2gDPHOdzzHTsxBOBvqVL4sag2viC3";
constexpr char kSecret[] =
    "untrusted comment: minisign encrypted secret key\n"
    "RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAw8dRnyY7EzBIy6ulAcY6fp"
    "4ll7u"
    "JNEAts2dWnZg24dbcLGVQv53ed4sCu62pcPc7H/"
    "x2gDPHOdzzHTsxBOBvqVL4sag2viC3AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAA=\n";
constexpr char kBytes[] = "the bytes that are signed\n";
constexpr char kSigned[] =
    "untrusted comment: an untrusted word\n"
    "RUTDx1GfJjsTMBwq1hig1LTT5mXoWnKGCmNgumgvRR3Sme2IqHpdvhjAz3fJcR/"
    "S4xCK3+kbAfCAjm9BJm5pD1MRspxxm+ptTwY=\n"
    "trusted comment: com.example.x 1.0.0\n"
    "avPTv5Ta+B1tFWMRbUmRL68iUwPotsLqoPabZQCV7wrUS14VxB83YcLuR+XorFKdvMvXM1wVdVdxcur79XEBAg==\n";

std::string verify_code(const std::string& signature, const std::string& bytes,
                        const PublicKey& key) {
  return code_of([&] { verify(Signature::parse(signature), key, bytes, "x"); });
}

TEST(Minisign, AcceptsWhatTheProgramSigned) {
  const PublicKey key = PublicKey::parse(kPublic);
  EXPECT_EQ(key.id_text(), "30133B269F51C7C3");
  EXPECT_EQ(key.text(), kPublic);
  EXPECT_EQ(PublicKey::parse(std::string("untrusted comment: x\n") + kPublic + "\n").id, key.id);
  EXPECT_EQ(verify_code(kSigned, kBytes, key), "none");
  EXPECT_EQ(Signature::parse(kSigned).trusted_comment, "com.example.x 1.0.0");
}

// Ed25519 is deterministic: the same key, bytes and comment give what the program gave.
TEST(Minisign, SignsAsTheProgramDoes) {
  const SecretKey secret = SecretKey::parse(kSecret, {});
  EXPECT_EQ(secret.public_key().text(), kPublic);
  const std::string ours = secret.sign(kBytes, "com.example.x 1.0.0"), theirs = kSigned;
  EXPECT_EQ(ours.substr(ours.find('\n')), theirs.substr(theirs.find('\n')));
  EXPECT_TRUE(ours.starts_with(kUntrustedComment));
  EXPECT_EQ(secret.file({}).substr(secret.file({}).find('\n')),
            std::string(kSecret).substr(std::string(kSecret).find('\n')));
}

TEST(Minisign, EachChangeHasItsCode) {
  const PublicKey key = PublicKey::parse(kPublic);
  const SecretKey other = SecretKey::generate();
  EXPECT_EQ(verify_code(kSigned, "the bytes that are Signed\n", key), "E_PLUG_SIG");
  EXPECT_EQ(verify_code(kSigned, kBytes, other.public_key()), "E_PLUG_SIG_KEY_ID");
  std::string comment = kSigned;
  comment.replace(comment.find("1.0.0"), 5, "9.0.0");
  EXPECT_EQ(verify_code(comment, kBytes, key), "E_PLUG_SIG_COMMENT");
  EXPECT_EQ(verify_code(other.sign(kBytes, "x"), kBytes, other.public_key()), "none");
  EXPECT_EQ(verify_code("nonsense", kBytes, key), "E_PLUG_SIG_FORMAT");
  EXPECT_EQ(verify_code(std::string(kSigned) + "\n", kBytes, key), "E_PLUG_SIG_FORMAT");
  EXPECT_EQ(code_of([] { PublicKey::parse("RWTD"); }), "E_PLUG_SIG_KEY");
  EXPECT_EQ(code_of([] { SecretKey::parse("a\nb\n", {}); }), "E_PLUG_SIG_KEY");
  std::string encrypted = kSecret;
  encrypted.replace(encrypted.find("RWQAAEIy"), 8, "RWRTY0Iy");
  EXPECT_EQ(code_of([&] { SecretKey::parse(encrypted, {}); }), "E_PLUG_SIG_KEY");
}

// Every byte of a signature file but those of the untrusted comment matters.
TEST(Minisign, AnyFlippedByteIsRefused) {
  const PublicKey key = PublicKey::parse(kPublic);
  const std::string good = kSigned;
  for (size_t at = good.find('\n'); at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    EXPECT_NE(verify_code(bad, kBytes, key), "none") << "byte " << at;
  }
}

}  // namespace
}  // namespace moecollab::registry
