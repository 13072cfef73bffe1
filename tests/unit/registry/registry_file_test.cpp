#include "registry/registry_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

RegistryFile parse(const std::string& text) {
  return recorded(parse_registry, text, "registry.toml");
}

void expect_refused(const std::string& from, const std::string& to, const std::string& part) {
  SCOPED_TRACE(to);
  expect_error([&] { parse(replaced(registry_toml(), from, to)); }, "E_REG_SCHEMA", part);
}

TEST(Registry, ReadsEveryKey) {
  const RegistryFile r = parse(registry_toml());
  EXPECT_EQ(r.encoder.path, "../encoder");
  EXPECT_EQ(r.encoder.max_length, 128);
  EXPECT_EQ(r.encoder.special_tokens, "literal");
  EXPECT_EQ(r.encoder.fingerprint, kFingerprint);
  EXPECT_THAT(r.domains, ElementsAre(Pair("legal", "legal/1")));
  ASSERT_EQ(r.data.count("legal"), 1u);
  const DomainData& data = r.data.at("legal");
  EXPECT_EQ(data.format, "csv");
  EXPECT_EQ(data.quoting, "none");
  EXPECT_EQ(data.text_column, "clause");
  EXPECT_EQ(data.label_column, "kind");
  EXPECT_THAT(data.columns, ElementsAre("kind", "title", "clause"));
  EXPECT_THAT(data.join, ElementsAre("title", "clause"));
  EXPECT_EQ(data.label_base, 1);
  EXPECT_THAT(data.label_names, ElementsAre("a duty", "a right"));
  ASSERT_EQ(r.label_spaces.size(), 1u);
  EXPECT_THAT(r.label_spaces[0].labels, ElementsAre("duty", "right", "Höhe"));
  EXPECT_EQ(r.policy.on_missing, "skip");
  EXPECT_EQ(r.policy.nan, "mask");
  ASSERT_EQ(r.experts.size(), 2u);
  EXPECT_EQ(r.experts[0].name, "legal");
  EXPECT_EQ(r.experts[0].id, "com.example.clauses.legal");
  EXPECT_EQ(r.experts[0].version.text(), "^2.0");
  EXPECT_TRUE(r.experts[0].enabled);
  EXPECT_TRUE(r.experts[0].required);
  EXPECT_EQ(r.experts[0].weight_cap, 0.5);
  EXPECT_EQ(r.experts[0].config["k"], 32);
  EXPECT_EQ(r.experts[1].version.text(), "*");
  EXPECT_FALSE(r.experts[1].enabled);
  EXPECT_FALSE(r.experts[1].required);
  EXPECT_EQ(r.experts[1].weight_cap, std::nullopt);
  EXPECT_EQ(r.gate.fusion, "logit-union");
  EXPECT_EQ(r.gate.top_k, 2);
}

TEST(Registry, R01_EmptyIsARegistryOfNoExperts) {
  for (const char* text : {"", "\n", "# nothing yet\n", "# nothing yet"}) {
    const RegistryFile r = parse(text);
    EXPECT_TRUE(r.experts.empty());
    EXPECT_FALSE(r.encoder.max_length);
    EXPECT_EQ(r.policy.on_missing, "fail");
    EXPECT_EQ(r.policy.nan, "fail");
    EXPECT_EQ(r.gate.fusion, std::nullopt);
    EXPECT_EQ(r.gate.top_k, std::nullopt);
  }
}

TEST(Registry, R01_MissingOrNoFolder) {
  const TemporaryFolder folder;
  const fs::path missing = folder.path() / "none";
  expect_error([&] { read_registry(missing); }, "E_REG_IO",
               missing.string() + " cannot be read: No such file or directory");
  write(folder.path() / "file", "x");
  expect_error([&] { read_registry(folder.path() / "file"); }, "E_REG_IO", "Not a directory");
  expect_error([&] { read_registry(folder.path() / "file" / "x"); }, "E_REG_IO", "Not a directory");
  expect_error([&] { read_registry(folder.path()); }, "E_REG_IO",
               (folder.path() / "registry.toml").string() + " cannot be read: No such file");
}

TEST(Registry, R01_FileIsAFolderOrAFifo) {
  const TemporaryFolder folder;
  fs::create_directory(folder.path() / "registry.toml");
  expect_error([&] { read_registry(folder.path()); }, "E_REG_IO", "it is a folder");
  fs::remove(folder.path() / "registry.toml");
  ASSERT_EQ(::mkfifo((folder.path() / "registry.toml").c_str(), 0600), 0);
  expect_error([&] { read_registry(folder.path()); }, "E_REG_IO", "not a regular file");
}

// Root reads everything, so the effective user is another one meanwhile.
class AsNobody {
 public:
  AsNobody() { changed_ = ::geteuid() == 0 && ::seteuid(65534) == 0; }
  ~AsNobody() {
    if (changed_ && ::seteuid(0) != 0) std::abort();
  }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;

 private:
  bool changed_ = false;
};

TEST(Registry, R01_Unreadable) {
  const TemporaryFolder folder;
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  write(folder.path() / "registry.toml", registry_toml());
  ASSERT_EQ(::chmod((folder.path() / "registry.toml").c_str(), 0), 0);
  const AsNobody nobody;
  expect_error([&] { read_registry(folder.path()); }, "E_REG_IO", "Permission denied");
}

TEST(Registry, R02_TooLargeBeforeParsing) {
  const TemporaryFolder folder;
  const std::string comment = "#" + std::string(200'000, 'x') + "\n";
  write(folder.path() / "registry.toml", comment);
  expect_error([&] { read_registry(folder.path()); }, "E_REG_SIZE", "65536");
  expect_error([&] { parse(comment); }, "E_REG_SIZE", "65536");
  expect_error([] { parse("a = [[[[[[[[[1]]]]]]]]]\n"); }, "E_REG_SIZE", "nested deeper");
  expect_error([] { parse("a.a.a.a.a.a.a.a.a = 1\n"); }, "E_REG_SIZE", "nested deeper");
  const std::string largest = "#" + std::string(kMaxRegistry - 1, 'x');
  EXPECT_TRUE(parse(largest).experts.empty());
  expect_error([&] { parse(largest + "x"); }, "E_REG_SIZE", "65537");
}

TEST(Registry, R03_Bytes) {
  expect_error([] { parse("# \x05"); }, "E_REG_BYTES", "control byte 0x05 at byte 2");
  expect_error([] { parse(std::string("a = \"\0\"", 7)); }, "E_REG_BYTES", "0x00 at byte 5");
  expect_error([] { parse("\xEF\xBB\xBFschema = 1"); }, "E_REG_BYTES", "byte order mark");
  expect_error([] { parse("schema = 1 # \xFF"); }, "E_REG_BYTES", "invalid UTF-8 at byte 13");
  expect_error([] { parse("schema = 1\r# x"); }, "E_REG_BYTES", "0x0d at byte 10");
  std::string windows;
  for (const char c : registry_toml()) windows += c == '\n' ? "\r\n" : std::string(1, c);
  EXPECT_EQ(parse(windows).label_spaces[0].labels[2], "Höhe");
}

TEST(Registry, R04_Syntax) {
  expect_error([] { parse("schema = 1\n[gate\n"); }, "E_REG_SYNTAX", "registry.toml:2:6: ");
  expect_error([] { parse("schema = 1\nschema = 1\n"); }, "E_REG_SYNTAX", "registry.toml:2:");
  expect_error([] { parse("schema = 1\n[gate]\n[policy]\n[gate]\n"); }, "E_REG_SYNTAX",
               "registry.toml:4:");
}

TEST(Registry, R05_UnknownKeysNameTheNearest) {
  expect_refused("top_k", "topk", "`gate.topk` is not a known key; did you mean `top_k`?");
  expect_refused("[gate]", "[gaet]", "`gaet` is not a known key; did you mean `gate`?");
  expect_refused("weight_cap", "wieght_cap", "did you mean `weight_cap`?");
  expect_refused("max_length", "max_len", "did you mean `max_length`?");
  expect_refused("on_missing", "onmissing", "registry.toml:29: `policy.onmissing`");
  expect_refused("name = \"legal/1\"", "nmae = \"legal/1\"", "`label_space[0].name` is missing");
}

TEST(Registry, R05_WrongTypesAndValues) {
  expect_refused("schema = 1", "schema = \"1\"", "`schema` must be an integer");
  expect_refused("schema = 1", "", "`schema` is missing");
  expect_refused("max_length = 128", "max_length = 2", "`encoder.max_length`");
  expect_refused("\"literal\"", "\"litteral\"", "did you mean `literal`?");
  expect_refused("path = \"../encoder\"", "path = \"\"", "`encoder.path`");
  expect_refused(kFingerprint, "sha256:" + kFingerprint, "has a prefix");
  expect_refused("legal = \"legal/1\"", "legal = \"legal\"", "`domains.legal`");
  expect_refused("quoting = \"none\"", "quoting = \"non\"", "`data.legal.quoting`");
  expect_refused("text_column", "text_colum", "did you mean `text_column`?");
  expect_refused("join = [\"title\", \"clause\"]", "join = []", "`data.legal.join` is empty");
  expect_refused("legal = \"legal/1\"", "Legal = \"legal/1\"", "no domain name");
  expect_refused("\"skip\"", "\"skipp\"", "did you mean `skip`?");
  expect_refused("\"^2.0\"", "\"2.0\"", "write ^2.0");
  expect_refused("weight_cap = 0.5", "weight_cap = 0", "weight_cap");
  expect_refused("weight_cap = 0.5", "weight_cap = nan", "weight_cap");
  expect_refused("weight_cap = 0.5", "weight_cap = 1.1", "weight_cap");
  expect_refused("config = { k = 32 }", "config = 32", "`expert[0].config` must be a table");
  expect_refused("\"logit-union\"", "\"logit_union\"", "did you mean `logit-union`?");
  expect_refused("top_k = 2", "top_k = 0", "at least 1");
  expect_refused("id = \"com.example.news\"", "id = \"news\"", "reverse-DNS");
  expect_refused("enabled = false", "enabled = \"no\"", "true or false");
  expect_error([] { parse("schema = 1\nexpert = \"x\"\n"); }, "E_REG_SCHEMA", "array of tables");
  expect_error([] { parse("schema = 1\ngate = 1\n"); }, "E_REG_SCHEMA", "must be a table");
  expect_error([] { parse("schema = 1\nexpert = [1]\n"); }, "E_REG_SCHEMA", "expert[0]");
  expect_error([] { parse("schema = 2026-01-01\n"); }, "E_REG_SCHEMA", "date");
}

TEST(Registry, R05_NamesStandOnce) {
  expect_refused("name = \"news\"", "name = \"legal\"",
                 "\"legal\" stands twice: in [[expert]] 1 and 2");
  expect_refused("\"Höhe\"", "\"duty\"", "item 3: label \"duty\" stands twice");
  const std::string again = "[[label_space]]\nname = \"legal/1\"\nlabels = [\"x\"]\n";
  expect_refused("[policy]", again + "[policy]", "[[label_space]] 1 and 2");
}

TEST(Registry, R18_NamesHoldNoPathAndNoTerminalCodes) {
  expect_refused("name = \"news\"", "name = \"../news\"", "`expert[1].name`");
  expect_refused("name = \"news\"", "name = \"a\\nb\"", "a\\x0ab");
}

TEST(Registry, TrustHasItsScopeAndItsLastDay) {
  const std::string key = "RWTDx1GfJjsTMIsCu62pcPc7H/x2gDPHOdzzHTsxBOBvqVL4sag2viC3";
  const std::string entry = "[[trust]]\npublisher = \"x\"\nkey = \"" + key + "\"\n";
  const RegistryFile r = parse_registry(
      replaced(registry_toml(), "[gate]",
               entry +
                   "scope = [\"com.example.*\"]\nexpires = \"2027-12-31\"\n[revoked]\nkeys = [\"" +
                   key + "\"]\n[gate]"),
      "r");
  EXPECT_THAT(r.trust.at(0).scope, testing::ElementsAre("com.example.*"));
  EXPECT_EQ(r.trust.at(0).expires, "2027-12-31");
  EXPECT_THAT(r.revoked.keys, testing::ElementsAre(key));
  expect_refused("[gate]", entry + "expires = \"2027-13-31\"\n[gate]", "must be a day");
  expect_refused("[gate]", entry + "expires = 2027-12-31\n[gate]", "write it in quotes");
  expect_refused("[gate]", entry + "scope = []\n[gate]", "is empty");
  expect_refused("[gate]", "[revoked]\npackages = [\"abc\"]\n[gate]", "SHA-256");
  expect_refused("[gate]", "[revoked]\nkeys = [\"RWTD\"]\n[gate]", "minisign");
  expect_refused("[gate]", "[[trust]]\npublisher = \"x\"\nkey = \"RWTD\"\n[gate]",
                 "no minisign public key");
}

// A key that guards something must not look as if it did.
TEST(Registry, KeysOfLaterVersionsAreRefused) {
  expect_refused("weight_cap = 0.5", "device = \"cuda\"",
                 "`expert[0].device` is not in this version");
}

TEST(Registry, WhatThePolicySaysOfPackagesAndProcessesHasBounds) {
  const auto policy = [](const std::string& lines) {
    return parse_registry(replaced(registry_toml(), "nan = \"mask\"", "nan = \"mask\"\n" + lines),
                          "r")
        .policy;
  };
  EXPECT_EQ(policy("").admission, "with-data");
  EXPECT_EQ(policy("admission = \"always\"").admission, "always");
  EXPECT_EQ(policy("").isolation, "auto");
  EXPECT_EQ(policy("").call_deadline_ms, 30'000);
  const Policy stated =
      policy("isolation = \"process\"\ncall_deadline_ms = 1\nexpert_memory_mb = 64");
  EXPECT_EQ(stated.isolation, "process");
  EXPECT_EQ(stated.call_deadline_ms, 1);
  EXPECT_EQ(stated.expert_memory_mb, 64);
  for (const auto& [line, said] : std::map<std::string, std::string>{
           {"isolation = \"in-process\"", "`policy.isolation`"},
           {"admission = \"sometimes\"", "`policy.admission`"},
           {"call_deadline_ms = 0", "must be 1 to 86400000, not 0"},
           {"expert_memory_mb = 63", "must be 64 to 1048576, not 63"},
           {"expert_memory_mb = 64.5", "`policy.expert_memory_mb`"}})
    expect_refused("nan = \"mask\"", "nan = \"mask\"\n" + line, said);
  expect_refused("\"stop\"", "\"continue\"", "`policy.on_expert_failure`");
}

}  // namespace
}  // namespace moecollab::registry
