// Registries and packages on disk for the tests of this stage.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"

namespace moecollab::registry {

inline const std::string kFingerprint(64, 'e');

// The Error that `call` throws; a test failure and an empty one if it throws none.
inline Error error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no Error was thrown";
  return {"", ""};
}

// The code of the Error that `call` throws; "none" if it throws none.
inline std::string code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return "none";
}

// An Error of this code whose message (or hint) has this part.
inline void expect_error(const std::function<void()>& call, const std::string& code,
                         const std::string& part) {
  const Error error = error_of(call);
  EXPECT_EQ(error.code(), code) << error.what();
  EXPECT_THAT(std::string(error.what()) + " | " + error.hint(), ::testing::HasSubstr(part));
}

// What `read` gives for a document. With MOECOLLAB_RECORD=FILE every document that a test gives to
// a reader is appended there with its outcome, a JSON object per line, for tools/check_schemas.py.
template <typename Result>
Result recorded(Result (*read)(std::string_view, const std::string&), const std::string& text,
                const std::string& file) {
  const auto record = [&](const Json& refusal) {
    const char* path = std::getenv("MOECOLLAB_RECORD");
    if (path == nullptr) return;
    std::ofstream(path, std::ios::app)
        << to_line({{"file", file}, {"text", text}, {"refusal", refusal}}) << '\n';
  };
  try {
    Result result = read(text, file);
    record(nullptr);
    return result;
  } catch (const Error& error) {
    record({{"code", error.code()}, {"message", error.what()}});
    throw;
  }
}

// `text` with the one occurrence of `from` replaced.
inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  EXPECT_EQ(text.find(from, at + 1), std::string::npos) << from << " stands twice";
  return text.replace(at, from.size(), to);
}

inline void write(const fs::path& path, std::string_view bytes) {
  fs::create_directories(path.parent_path());
  write_file_atomic(path, bytes);
}

// A complete manifest; `digest` is that of libclauses.so.
inline std::string manifest_text(const std::string& digest = std::string(64, 'a')) {
  return R"(schema = 1

[library]
id = "com.example.clauses"
version = "1.2.0"

[expert]
id = "com.example.clauses.legal"
name = "legal"
version = "2.1.0"
vendor = "Example"
license = "Apache-2.0"
url = "https://example.com"
description = "contract clauses"

[abi]
version = "0.9"
sdk = "0.9.1"
platform = "linux-x86_64"

[task]
domain = "legal"
label_space = "legal/1"
labels = ["duty", "right", "Höhe"]
language = "en"

[input]
needs = ["text", "pooled"]
layers = [0, -1]
pooling = "cls"
layout = "ragged"
max_batch = 64
dtypes = ["float32", "bf16"]
encoder.fingerprint = ")" +
         kFingerprint + R"("

[output]
kind = "logits"
temperature = 1.5
deterministic = true

[config]
k = 64
nested = { a = [1, 2], b = "x" }

[files]
"libclauses.so" = ")" +
         digest + R"("

[provenance]
data = "LEDGAR"

[[claim]]
dataset = ")" +
         std::string(64, 'd') + R"("
split = "test"
metric = "accuracy"
value = 0.82
tolerance = 0.01
)";
}

// A package whose one file has the digest that its manifest says.
inline void write_package(const fs::path& folder, const std::string& manifest) {
  write(folder / "libclauses.so", "library");
  write(folder / "expert.toml", manifest);
}
inline void write_package(const fs::path& folder) {
  write_package(folder, manifest_text(sha256_hex("library")));
}

// Version `version` of an expert `name`, id com.example.NAME, in experts/ of a registry.
inline void install_package(const fs::path& registry, const std::string& name,
                            const std::string& version) {
  std::string text = manifest_text(sha256_hex("library"));
  text = replaced(text, "version = \"2.1.0\"", "version = \"" + version + "\"");
  text = replaced(text, "name = \"legal\"", "name = \"" + name + "\"");
  text = replaced(text, "id = \"com.example.clauses.legal\"", "id = \"com.example." + name + "\"");
  write_package(registry / "experts" / name / version, text);
}

inline std::string registry_toml() {
  return R"(# ours
schema = 1

[encoder]
path = "../encoder"
max_length = 128
special_tokens_in_text = "literal"
fingerprint = ")" +
         kFingerprint + R"("

[domains]
legal = "legal/1"

[data.legal]
format = "csv"
quoting = "none"
text_column = "clause"
label_column = "kind"
columns = ["kind", "title", "clause"]
join = ["title", "clause"]
label_base = 1
label_names = ["a duty", "a right"]

[[label_space]]
name = "legal/1"
labels = ["duty", "right", "Höhe"]

[policy]
require_signature = false
on_missing = "skip"
on_expert_failure = "stop"
nan = "mask"

[[expert]]
name = "legal"
id = "com.example.clauses.legal"
version = "^2.0"
required = true
weight_cap = 0.5
config = { k = 32 }

[[expert]]
name = "news"
id = "com.example.news"
enabled = false

[gate]
fusion = "logit-union"
top_k = 2
)";
}

}  // namespace moecollab::registry
