#include "registry/manifest.h"

#include <fmt/format.h>

#include <string>

#include "registry/labels.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Manifest parse(const std::string& text) { return recorded(parse_manifest, text, "expert.toml"); }

// The manifest with one place changed is refused with this code, naming this.
void expect_refused(const std::string& from, const std::string& to, const std::string& code,
                    const std::string& part) {
  SCOPED_TRACE(to);
  expect_error([&] { parse(replaced(manifest_text(), from, to)); }, code, part);
}

TEST(Manifest, ReadsEveryKey) {
  const Manifest m = parse(manifest_text());
  EXPECT_EQ(m.library.id, "com.example.clauses");
  EXPECT_EQ(m.library.version.text(), "1.2.0");
  EXPECT_EQ(m.expert.id, "com.example.clauses.legal");
  EXPECT_EQ(m.expert.name, "legal");
  EXPECT_EQ(m.expert.version.text(), "2.1.0");
  EXPECT_EQ(m.expert.license, "Apache-2.0");
  EXPECT_EQ(m.abi.major, 0);
  EXPECT_EQ(m.abi.minor, 9);
  EXPECT_EQ(m.abi.sdk, "0.9.1");
  EXPECT_EQ(m.abi.platform, "linux-x86_64");
  EXPECT_EQ(m.task.label_space, "legal/1");
  EXPECT_THAT(m.task.labels, ElementsAre("duty", "right", "Höhe"));
  EXPECT_FALSE(m.task.partial);
  EXPECT_THAT(m.input.needs, ElementsAre("text", "pooled"));
  EXPECT_THAT(m.input.layers, ElementsAre(0, -1));
  EXPECT_EQ(m.input.pooling, "cls");
  EXPECT_EQ(m.input.max_batch, 64);
  EXPECT_THAT(m.input.dtypes, ElementsAre("float32", "bf16"));
  EXPECT_EQ(m.input.encoder_fingerprint, kFingerprint);
  EXPECT_EQ(m.output.temperature, 1.5);
  EXPECT_EQ(m.config["k"], 64);
  EXPECT_EQ(m.config["nested"]["a"][1], 2);
  EXPECT_EQ(m.files.at("libclauses.so"), std::string(64, 'a'));
  EXPECT_EQ(m.provenance["data"], "LEDGAR");
  ASSERT_EQ(m.claims.size(), 1u);
  EXPECT_EQ(m.claims[0].value, 0.82);
}

TEST(Manifest, PrecisionOfTraining) {
  EXPECT_EQ(parse(manifest_text()).training.precision, std::nullopt);
  for (const char* precision : {"auto", "fp32", "bf16"}) {
    const Manifest m =
        parse(manifest_text() + fmt::format("[training]\nprecision = \"{}\"\n", precision));
    EXPECT_EQ(m.training.precision, precision);
    EXPECT_EQ(parse(to_toml_text(m)).training.precision, precision);
  }
  expect_error([&] { parse(manifest_text() + "[training]\nprecision = \"fp16\"\n"); },
               "E_REG_SCHEMA", "auto, fp32, bf16");
}

TEST(Manifest, TextAndBackIsTheSame) {
  Manifest m = parse(manifest_text());
  m.config["list"] = Json::array({Json{{"a", 1}}, Json{{"b", Json::array({Json{{"c", 2.5}}})}}});
  m.config["mixed"] = Json::array({1, Json{{"odd key", "q\"\n"}}});
  m.config["empty"] = Json::object();
  const Manifest read = parse(to_toml_text(m));
  // The parser sorts the keys of free tables; from then on the text stays the same too.
  EXPECT_EQ(nlohmann::json(read.config), nlohmann::json(m.config));
  EXPECT_EQ(parse(to_toml_text(read)), read);
  EXPECT_EQ(to_toml_text(parse(to_toml_text(read))), to_toml_text(read));
  m.config = read.config;
  EXPECT_EQ(read, m);
}

TEST(Manifest, ALexicalExpertNeedsNoEncoder) {
  std::string text =
      replaced(manifest_text(), "needs = [\"text\", \"pooled\"]", "needs = [\"text\"]");
  text = replaced(text, "layers = [0, -1]", "");
  text = replaced(text, "encoder.fingerprint = \"" + kFingerprint + "\"", "encoder = \"none\"");
  const Manifest m = parse(text);
  EXPECT_FALSE(m.input.needs_encoder());
  EXPECT_TRUE(m.input.layers.empty());
  EXPECT_EQ(parse(to_toml_text(m)), m);
}

TEST(Manifest, PooledWithoutLayersReadsTheLastBlock) {
  const Manifest m = parse(replaced(manifest_text(), "layers = [0, -1]\n", ""));
  EXPECT_THAT(m.input.layers, ElementsAre(-1));
}

TEST(Manifest, LayersCountFromBothEnds) {
  InputTable input;
  input.layers = {0, 6, -1, -7};
  EXPECT_THAT(input.resolve_layers(6), ElementsAre(0, 6, 6, 0));
  input.layers = {7};
  expect_error([&] { input.resolve_layers(6); }, "E_DESC_LAYERS", "layer 7");
  input.layers = {-8};
  expect_error([&] { input.resolve_layers(6); }, "E_DESC_LAYERS", "layer -8");
}

TEST(Manifest, R02_TooLarge) {
  const std::string padded = manifest_text() + "#" + std::string(kMaxManifest, 'x');
  expect_error([&] { parse(padded); }, "E_REG_SIZE", std::to_string(kMaxManifest));
}

TEST(Manifest, R03_Bytes) {
  expect_refused("contract clauses", "contract \x01 clauses", "E_REG_BYTES", "control byte 0x01");
  expect_refused("contract clauses", "contract \xFF clauses", "E_REG_BYTES", "invalid UTF-8");
}

TEST(Manifest, R04_Syntax) {
  const Error error =
      error_of([] { parse(replaced(manifest_text(), "pooling = \"cls\"", "pooling = cls")); });
  EXPECT_EQ(error.code(), "E_REG_SYNTAX");
  EXPECT_THAT(error.what(), testing::StartsWith("expert.toml:30:11: "));
  expect_refused("name = \"legal\"", "name = \"legal\"\nname = \"legal\"", "E_REG_SYNTAX", ":10:");
  expect_refused("[provenance]", "[task]", "E_REG_SYNTAX", "");
}

TEST(Manifest, R05_UnknownKeysNameTheNearest) {
  expect_refused("vendor =", "vendro =", "E_REG_SCHEMA", "did you mean `vendor`?");
  expect_refused("label_space =", "labelspace =", "E_REG_SCHEMA", "`task.label_space` is missing");
  expect_refused("needs =", "neeeds =", "E_REG_SCHEMA", "`input.needs` is missing");
  expect_refused("[provenance]", "[provenence]", "E_REG_SCHEMA", "did you mean `provenance`?");
  expect_refused(
      "tolerance = 0.01", "tolerance = 0.01\ntolerence = 1", "E_REG_SCHEMA",
      "expert.toml:57: `claim[0].tolerence` is not a known key; did you mean `tolerance`?");
  expect_refused("encoder.fingerprint", "encoder.x = 1\nencoder.fingerprint", "E_REG_SCHEMA",
                 "`input.encoder.x` is not a known key");
}

TEST(Manifest, R05_WrongTypes) {
  expect_refused("name = \"legal\"", "name = 7", "E_REG_SCHEMA",
                 "`expert.name` must be a string, not 7");
  expect_refused("max_batch = 64", "max_batch = 6.5", "E_REG_SCHEMA",
                 "must be an integer, not 6.5");
  expect_refused("temperature = 1.5", "temperature = \"1\"", "E_REG_SCHEMA", "must be a number");
  expect_refused("deterministic = true", "deterministic = 1", "E_REG_SCHEMA", "true or false");
  expect_refused("[\"duty\", \"right\", \"Höhe\"]", "[\"duty\", 3]", "E_REG_SCHEMA",
                 "array of strings");
  expect_refused("schema = 1", "schema = 2", "E_REG_SCHEMA", "is 2; this version reads 1");
}

TEST(Manifest, R05_MissingKeysAndTables) {
  for (const char* table : {"library", "expert", "abi", "task", "input", "files"}) {
    SCOPED_TRACE(table);
    const std::string other = std::string("[config.") + table + "]";
    expect_refused(std::string("\n[") + table + "]", "\n" + other, "E_REG_SCHEMA",
                   std::string("`") + table + "` is missing");
  }
  expect_refused("schema = 1", "", "E_REG_SCHEMA", "`schema` is missing");
  expect_refused("id = \"com.example.clauses.legal\"", "", "E_REG_SCHEMA",
                 "`expert.id` is missing");
  expect_refused("version = \"0.9\"\n", "", "E_REG_SCHEMA", "`abi.version` is missing");
  expect_refused("labels = [\"duty\", \"right\", \"Höhe\"]", "", "E_REG_SCHEMA",
                 "`task.labels` is missing");
}

TEST(Manifest, R18_NamesHoldNoPathAndNoTerminalCodes) {
  for (const char* name : {"", "a\\nb", "\\u001b[31m", "../x", "Legal", "a.b", "a b", "é"}) {
    expect_refused("name = \"legal\"", std::string("name = \"") + name + "\"", "E_REG_SCHEMA",
                   "expert.name");
  }
  const Error error = error_of(
      [] { parse(replaced(manifest_text(), "name = \"legal\"", "name = \"\\u001b[31m\"")); });
  EXPECT_THAT(error.what(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(error.what(), HasSubstr("\\x1b[31m"));
  const std::string longest(64, 'n');
  parse(replaced(manifest_text(), "name = \"legal\"", "name = \"" + longest + "\""));
  expect_refused("name = \"legal\"", "name = \"" + longest + "n\"", "E_REG_SCHEMA", "expert.name");
}

TEST(Manifest, IdsAndLabelSpacesHaveTheirForms) {
  for (const char* id : {"legal", ".legal", "com..legal", "com.legal.", "Com.legal", "com/legal"}) {
    expect_refused("id = \"com.example.clauses.legal\"", std::string("id = \"") + id + "\"",
                   "E_REG_SCHEMA", "reverse-DNS");
  }
  for (const char* space : {"legal", "legal/", "/1", "legal/0", "legal/01", "legal/1.0", "a b/1"}) {
    expect_refused("label_space = \"legal/1\"", std::string("label_space = \"") + space + "\"",
                   "E_REG_SCHEMA", "task.label_space");
  }
  const Manifest m = parse(
      replaced(manifest_text(), "label_space = \"legal/1\"", "label_space = \"com.x.legal/12\""));
  EXPECT_EQ(m.task.label_space, "com.x.legal/12");
}

TEST(Manifest, R08_DigestFormIsItsOwnRefusal) {
  const std::string digest(64, 'a');
  expect_refused(digest, std::string(64, 'A'), "E_REG_SCHEMA", "uppercase digits");
  expect_refused(digest, std::string(63, 'a'), "E_REG_SCHEMA", "63 characters");
  expect_refused(digest, "sha256:" + digest, "E_REG_SCHEMA", "has a prefix");
  expect_refused(digest, std::string(63, 'a') + "g", "E_REG_SCHEMA", "is no SHA-256");
  expect_refused(kFingerprint, "sha256:" + kFingerprint, "E_REG_SCHEMA",
                 "input.encoder.fingerprint");
}

TEST(Manifest, R06_PathsOfFilesStayInside) {
  for (const char* path : {"../x.so", "/lib/x.so", "a/../../x", "a//b", "./x", "a/.", "", "..",
                           "/proc/self/fd/0", "a\\nb"}) {
    expect_refused("\"libclauses.so\" =", std::string("\"") + path + "\" =", "E_PLUG_PATH", "");
  }
  expect_refused("\"libclauses.so\" =", "\"expert.toml\" =", "E_REG_SCHEMA", "digest of itself");
  const std::string nested = replaced(manifest_text(), "\"libclauses.so\" =", "\"a/..b/c\" =");
  EXPECT_TRUE(parse(nested).files.contains("a/..b/c"));
}

TEST(Manifest, InputsAgreeWithEachOther) {
  expect_refused("[\"text\", \"pooled\"]", "[]", "E_REG_SCHEMA", "input.needs");
  expect_refused("[\"text\", \"pooled\"]", "[\"pooled\", \"txet\"]", "E_REG_SCHEMA",
                 "did you mean `text`?");
  expect_refused("[\"text\", \"pooled\"]", "[\"pooled\", \"pooled\"]", "E_REG_SCHEMA", "twice");
  expect_refused("[\"text\", \"pooled\"]", "[\"text\"]", "E_REG_SCHEMA", "asks for neither");
  expect_refused("layers = [0, -1]", "layers = []", "E_REG_SCHEMA", "name a layer");
  expect_refused("layers = [0, -1]", "layers = [1, 1]", "E_REG_SCHEMA", "twice");
  expect_refused("max_batch = 64", "max_batch = 0", "E_REG_SCHEMA", "at least 1 row");
  expect_refused("pooling = \"cls\"", "pooling = \"max\"", "E_REG_SCHEMA", "cls, mean");
  expect_refused("layout = \"ragged\"", "layout = \"raged\"", "E_REG_SCHEMA",
                 "did you mean `ragged`?");
  expect_refused("[\"float32\", \"bf16\"]", "[\"bf16\"]", "E_REG_SCHEMA", "float32");
  expect_refused("encoder.fingerprint = \"" + kFingerprint + "\"", "encoder = \"none\"",
                 "E_REG_SCHEMA", "what the encoder makes");
  expect_refused("encoder.fingerprint = \"" + kFingerprint + "\"", "encoder = \"nine\"",
                 "E_REG_SCHEMA", "must be \"none\"");
  expect_refused("encoder.fingerprint = \"" + kFingerprint + "\"", "encoder = 3", "E_REG_SCHEMA",
                 "`input.encoder` must be a table");
}

TEST(Manifest, NumbersHaveBounds) {
  for (const char* bad : {"0", "-1.0", "nan", "inf"}) {
    expect_refused("temperature = 1.5", std::string("temperature = ") + bad, "E_REG_SCHEMA",
                   "output.temperature");
  }
  expect_refused("value = 0.82", "value = nan", "E_REG_SCHEMA", "claim[0].value");
  expect_refused("tolerance = 0.01", "tolerance = -0.01", "E_REG_SCHEMA", "claim[0].tolerance");
  for (const char* bad : {"9", "0.9.1", "0.09", "-0.9", "0.x", "0.99999999999"}) {
    expect_refused("version = \"0.9\"\n", std::string("version = \"") + bad + "\"\n",
                   "E_REG_SCHEMA", "abi.version");
  }
  expect_refused("sdk = \"0.9.1\"", "sdk = \"new\"", "E_REG_SCHEMA", "abi.sdk");
}

TEST(Manifest, R05_LabelsAreDistinctAndPrintable) {
  const std::string labels = "[\"duty\", \"right\", \"Höhe\"]";
  expect_refused(labels, "[\"a\", \"b\", \"a\"]", "E_REG_SCHEMA",
                 "item 3: label \"a\" stands twice");
  expect_refused(labels, "[\"a\", \"\"]", "E_REG_SCHEMA", "item 2: a label is empty");
  expect_refused(labels, "[\"a\\u0085\"]", "E_REG_SCHEMA", "control character");
  expect_refused(labels, "[]", "E_REG_SCHEMA", "`task.labels` is empty");
  expect_refused(labels, labels + "\nlabels_file = \"l.txt\"", "E_REG_SCHEMA", "keep one");
  std::string many;
  for (int i = 0; i < 501; ++i)
    many.append(i == 0 ? "\"l" : ", \"l").append(std::to_string(i)).append("\"");
  expect_refused(labels, "[" + many + "]", "E_REG_SCHEMA", "501 labels");
}

TEST(Manifest, AGenerativeExpertHasNoLabels) {
  const std::string text =
      replaced(manifest_text(), "labels = [\"duty\", \"right\", \"Höhe\"]", "");
  EXPECT_TRUE(
      parse(replaced(text, "kind = \"logits\"", "kind = \"generative\"")).task.labels.empty());
}

std::string with_labels_file(const std::string& path) {
  std::string text = replaced(manifest_text(), "labels = [\"duty\", \"right\", \"Höhe\"]",
                              "labels_file = \"" + path + "\"");
  return replaced(text, "[files]", "[files]\n\"labels.txt\" = \"" + std::string(64, 'b') + "\"");
}

TEST(Manifest, LabelsMayComeInAFile) {
  const TemporaryFolder folder;
  write(folder.path() / "expert.toml", with_labels_file("labels.txt"));
  write(folder.path() / "labels.txt", "duty\r\nright\nHöhe");
  const Manifest m = read_manifest(folder.path());
  EXPECT_THAT(m.task.labels, ElementsAre("duty", "right", "Höhe"));
  EXPECT_EQ(m.task.labels_file, "labels.txt");
  EXPECT_THAT(to_toml_text(m), Not(HasSubstr("duty")));
  expect_error([] { parse(with_labels_file("other.txt")); }, "E_REG_SCHEMA", "other.txt");
  expect_error([] { parse(with_labels_file("../labels.txt")); }, "E_PLUG_PATH", "../labels.txt");
}

TEST(Labels, R18_FileIsBounded) {
  const auto numbered = [](int n) {
    std::string text;
    for (int i = 0; i < n; ++i) text += std::to_string(i) + "\n";
    return text;
  };
  EXPECT_EQ(parse_labels(numbered(65'536), "l").size(), 65'536u);
  expect_error([&] { parse_labels(numbered(65'537), "l"); }, "E_DESC_MISMATCH", "65536");
  expect_error([] { parse_labels("a\n\nb\n", "l"); }, "E_REG_SCHEMA", "l:2: a label is empty");
  expect_error([] { parse_labels("a\nb\na\n", "l"); }, "E_REG_SCHEMA", "l:3: label \"a\"");
  expect_error([] { parse_labels("a\xC3\n", "l"); }, "E_REG_BYTES", "byte 1");
  expect_error([] { parse_labels("a\tb\n", "l"); }, "E_REG_SCHEMA", "control");
  expect_error([] { parse_labels("", "l"); }, "E_REG_SCHEMA", "no label");

  const TemporaryFolder folder;
  write(folder.path() / "expert.toml", with_labels_file("labels.txt"));
  write(folder.path() / "labels.txt", std::string(kMaxLabelsFile + 1, 'x'));
  expect_error([&] { read_manifest(folder.path()); }, "E_REG_SIZE", "labels.txt");
}

}  // namespace
}  // namespace moecollab::registry
