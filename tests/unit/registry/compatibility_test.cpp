#include "registry/compatibility.h"

#include <string>

#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

HostFacts host() {
  HostFacts facts;
  facts.platform = "linux-x86_64";
  facts.abi_major = 0;
  facts.abi_minor = 9;
  facts.sdk = "0.9.1";
  facts.encoder_fingerprint = kFingerprint;
  facts.layers = 6;
  facts.max_length = 256;
  return facts;
}

Manifest manifest() { return parse_manifest(manifest_text(), "expert.toml"); }

Refusal only(const std::vector<Refusal>& refusals) {
  EXPECT_EQ(refusals.size(), 1u);
  return refusals.empty() ? Refusal{} : refusals.front();
}

void expect_refusal(const Manifest& m, const HostFacts& facts, const std::string& code,
                    const std::string& part) {
  const Refusal refusal = only(check(m, facts));
  EXPECT_EQ(refusal.code, code);
  EXPECT_THAT(refusal.rule, testing::HasSubstr(part));
}

TEST(Compatibility, EqualFactsAreCompatible) { EXPECT_TRUE(check(manifest(), host()).empty()); }

TEST(Compatibility, BelowOneEveryMinorIsItsOwn) {
  Manifest m = manifest();
  m.abi.sdk.clear();
  m.abi.minor = 8;
  expect_refusal(m, host(), "E_ABI", "needs 0.8, host has 0.9");
  m.abi.minor = 10;
  expect_refusal(m, host(), "E_ABI", "needs 0.10, host has 0.9");
  m.abi = {1, 9, "", "linux-x86_64", ""};
  const Refusal refusal = only(check(m, host()));
  EXPECT_EQ(refusal.code, "E_ABI");
  EXPECT_EQ(refusal.expected, "0.9");
  EXPECT_EQ(refusal.seen, "1.9");
}

TEST(Compatibility, FromOneOnTheHostMayBeNewer) {
  Manifest m = manifest();
  HostFacts facts = host();
  m.abi = {1, 2, "1.2.0", "linux-x86_64", ""};
  facts.abi_major = 1;
  facts.sdk = "1.4.0";
  facts.abi_minor = 4;
  EXPECT_TRUE(check(m, facts).empty());
  facts.abi_minor = 2;
  EXPECT_TRUE(check(m, facts).empty());
  facts.abi_minor = 1;
  expect_refusal(m, facts, "E_ABI", "needs 1.2, host has 1.1");
  facts.abi_minor = 9;
  facts.abi_major = 2;
  facts.sdk = "2.0.0";
  expect_refusal(m, facts, "E_ABI", "needs 1.2, host has 2.9");
}

// onnxruntime#28523: newer headers alone are no reason.
TEST(Compatibility, ANewerSdkIsFineWhereTheAbiIsThere) {
  Manifest m = manifest();
  HostFacts facts = host();
  m.abi = {1, 2, "1.7", "linux-x86_64", ""};
  facts.abi_major = 1;
  facts.abi_minor = 2;
  facts.sdk = "1.2.0";
  EXPECT_TRUE(check(m, facts).empty());
  m.abi.sdk = "2.0";
  expect_refusal(m, facts, "E_ABI", "SDK: the expert needs 2.0, host has 1.2.0");
}

TEST(Compatibility, R15_NewerSdkBelowOne) {
  Manifest m = manifest();
  m.abi.sdk = "0.10.0";
  expect_refusal(m, host(), "E_ABI", "needs 0.10.0, host has 0.9.1");
  m.abi.sdk = "0.9.7";
  EXPECT_TRUE(check(m, host()).empty());
}

TEST(Compatibility, PlatformAndLibTorch) {
  Manifest m = manifest();
  m.abi.platform = "linux-aarch64";
  expect_refusal(m, host(), "E_ABI_PLATFORM", "needs linux-aarch64, host has linux-x86_64");
  m = manifest();
  HostFacts facts = host();
  facts.libtorch = "2.15.0";
  m.abi.libtorch = "==2.15.*";
  EXPECT_TRUE(check(m, facts).empty());
  for (const char* other : {"==2.1.*", "==2.16.*", "2.15.0", ">=2.15", "==2.15"}) {
    m.abi.libtorch = other;
    expect_refusal(m, facts, "E_ABI_LIBTORCH", std::string(other) + ", host has 2.15.0");
  }
}

TEST(Compatibility, Encoder) {
  Manifest m = manifest();
  HostFacts facts = host();
  facts.encoder_fingerprint = std::string(64, 'f');
  expect_refusal(m, facts, "E_DESC_ENCODER", kFingerprint);
  expect_refusal(m, facts, "E_DESC_ENCODER", facts.encoder_fingerprint + " (max_length 256)");
  facts.encoder_fingerprint.clear();
  expect_refusal(m, facts, "E_DESC_ENCODER", "no encoder");
  m.input.encoder_fingerprint.clear();
  EXPECT_TRUE(check(m, facts).empty());
}

TEST(Compatibility, Layers) {
  Manifest m = manifest();
  m.input.layers = {6};
  EXPECT_TRUE(check(m, host()).empty());
  m.input.layers = {0, 7};
  expect_refusal(m, host(), "E_DESC_LAYERS", "layer 7");
}

TEST(Compatibility, NamesEveryReason) {
  Manifest m = manifest();
  m.abi = {3, 0, "", "windows", "==2.15.*"};
  m.input.layers = {99};
  std::vector<std::string> codes;
  for (const Refusal& refusal : check(m, host())) codes.push_back(refusal.code);
  EXPECT_THAT(codes,
              testing::ElementsAre("E_ABI", "E_ABI_PLATFORM", "E_ABI_LIBTORCH", "E_DESC_LAYERS"));
}

}  // namespace
}  // namespace moecollab::registry
