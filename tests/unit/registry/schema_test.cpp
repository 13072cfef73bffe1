// The sample registry and the schemas beside it, held against the declared keys and the readers.
#include <regex>
#include <sstream>

#include "base/toml.h"
#include "registry/manifest.h"
#include "registry/records.h"
#include "registry/registry_file.h"
#include "unit/in_brief.h"
#include "unit/registry/fixtures.h"
#include "unit/registry/json_schema.h"
#include "unit/registry/odd_strings.h"

namespace moecollab::registry {
namespace {

using testing::HasSubstr;

const fs::path kSample = fs::path(MOECOLLAB_SOURCE_DIR) / "registry";

// A file, its declared keys and its reader.
struct Format {
  const char* sample;
  const char* schema;
  const char* title;
  const Record& (*record)();
  void (*read)(const std::string&);
  std::vector<const char*> exclusive;  // keys that exclude each other
};

const Format kFormats[] = {
    {"registry.toml",
     "registry.schema.json",
     "registry.toml of MoECollab",
     registry_record,
     [](const std::string& text) { recorded(parse_registry, text, "registry.toml"); },
     {}},
    {"experts/example/expert.toml",
     "expert.schema.json",
     "expert.toml of MoECollab",
     manifest_record,
     [](const std::string& text) { recorded(parse_manifest, text, "expert.toml"); },
     {"labels", "labels_file"}},
};

std::string sample_text(const Format& format) {
  return read_file(kSample / format.sample, "E_TEST");
}

// Every key switched on but `skip`.
std::string uncommented(const std::string& text, const std::string& skip) {
  static const std::regex comment("^#(?=[a-z\\[\"])");
  std::string out, line;
  for (std::istringstream lines(text); std::getline(lines, line); out += '\n') {
    const std::string open = std::regex_replace(line, comment, "");
    if (!open.starts_with(skip + " =")) out += open;
  }
  return out;
}

Json document(const std::string& text) { return parse_toml(text, "f.toml", "E_TEST").root; }

// The document with every key; one without each of those that exclude each other.
std::vector<Json> full_documents(const Format& format) {
  const std::string text = sample_text(format);
  if (format.exclusive.empty()) return {document(uncommented(text, "no such key"))};
  std::vector<Json> documents;
  for (const char* key : format.exclusive) documents.push_back(document(uncommented(text, key)));
  return documents;
}

// What the reader says against the document; empty if it takes it.
std::string refusal(const Format& format, const Json& document) {
  try {
    format.read(to_toml(document));
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

// A table of a document: where it is, and what its keys are declared as.
struct Place {
  Json::json_pointer at;
  const Record& record;
};

void collect(const Json& document, const Place& place, std::vector<Place>& out) {
  out.push_back(place);
  if (place.record.each && place.record.each->record != nullptr) {
    for (const auto& [name, value] : document[place.at].items())
      collect(document, {place.at / name, *place.record.each->record}, out);
  }
  for (const Key& key : place.record.keys) {
    Json::json_pointer at = place.at / key.name;
    if (key.record == nullptr || !document.contains(at)) continue;
    if (key.type == KeyType::kTables) at /= size_t{0};
    collect(document, {at, *key.record}, out);
  }
}

std::vector<Place> places(const Format& format, const Json& document) {
  std::vector<Place> out;
  collect(document, {Json::json_pointer(), format.record()}, out);
  return out;
}

// Calls `use` with every full document, each key that stands in it, and where.
template <typename Use>
void for_each_key(const Use& use) {
  for (const Format& format : kFormats) {
    for (const Json& document : full_documents(format)) {
      for (const Place& place : places(format, document)) {
        for (const auto& [name, value] : document[place.at].items()) {
          const Key* key = place.record.find(name);
          ASSERT_NE(key, nullptr) << name;
          SCOPED_TRACE((place.at / name).to_string());
          use(format, document, place.at / name, *key);
        }
      }
    }
  }
}

void expect_refused(const Format& format, Json document, const Json::json_pointer& at,
                    const Json& value) {
  document[at] = value;
  EXPECT_NE(refusal(format, document), "") << at.to_string() << " = " << value.dump();
}

void expect_read(const Format& format, Json document, const Json::json_pointer& at,
                 const Json& value) {
  document[at] = value;
  EXPECT_EQ(refusal(format, document), "") << at.to_string() << " = " << value.dump();
}

// `MOECOLLAB_WRITE_SCHEMAS=1 build/bin/test_registry --gtest_filter='Schemas.*'` writes the files.
TEST(Schemas, FilesAreWhatTheDeclaredKeysGive) {
  for (const Format& format : kFormats) {
    const fs::path path = kSample / "schema" / format.schema;
    const std::string made = to_text(json_schema(format.record(), format.title));
    if (std::getenv("MOECOLLAB_WRITE_SCHEMAS") != nullptr) write_file_atomic(path, made);
    EXPECT_TRUE(read_file(path, "E_TEST") == made)
        << path << " is not what the declared keys give; write it again with "
        << "MOECOLLAB_WRITE_SCHEMAS=1 build/bin/test_registry --gtest_filter='Schemas.*'";
  }
}

TEST(Sample, IsReadAsItStandsAndWithEveryKey) {
  EXPECT_TRUE(read_registry(kSample).experts.empty());
  for (const Format& format : kFormats) {
    EXPECT_THAT(sample_text(format), testing::StartsWith("#:schema "));
    EXPECT_NO_THROW(format.read(sample_text(format)));
    for (const Json& document : full_documents(format)) EXPECT_EQ(refusal(format, document), "");
  }
}

TEST(Sample, ShowsEveryKey) {
  for (const Format& format : kFormats) {
    const std::vector<Json> documents = full_documents(format);
    for (const Place& place : places(format, documents[0])) {
      for (const Key& key : place.record.keys) {
        const auto at = place.at / key.name;
        const bool shown = documents.front().contains(at) || documents.back().contains(at);
        EXPECT_EQ(shown, !key.later) << format.sample << " " << at.to_string();
      }
      EXPECT_FALSE(place.record.each && documents[0][place.at].empty()) << place.at.to_string();
    }
  }
}

TEST(DeclaredKeys, EveryOneHasAMeaning) {
  for_each_key([](const Format&, const Json&, const Json::json_pointer&, const Key& key) {
    EXPECT_THAT(key.meaning, testing::EndsWith("."));
  });
}

TEST(DeclaredKeys, RequiredOnesAreMissed) {
  for_each_key(
      [](const Format& format, Json document, const Json::json_pointer& at, const Key& key) {
        if (!key.required || key.name.empty()) return;
        document[at.parent_pointer()].erase(at.back());
        EXPECT_NE(refusal(format, document), "");
      });
}

TEST(DeclaredKeys, OthersAreUnknown) {
  for (const Format& format : kFormats) {
    const Json document = full_documents(format)[0];
    for (const Place& place : places(format, document)) {
      if (place.record.each) {
        expect_refused(format, document, place.at / "../x", std::string(64, 'a'));
      } else {
        expect_refused(format, document, place.at / "nonesuch", 1);
      }
      for (const Key& key : place.record.keys) {
        if (!key.later) continue;
        Json changed = document;
        changed[place.at / key.name] = 1;
        expect_error([&] { format.read(to_toml(changed)); }, "E_REG_SCHEMA", "not in this version");
      }
    }
  }
}

TEST(DeclaredKeys, OtherTypesAreRefused) {
  const std::map<KeyType, Json> values = {
      {KeyType::kString, "a"},
      {KeyType::kInteger, 5},
      {KeyType::kNumber, 0.5},
      {KeyType::kBoolean, true},
      {KeyType::kStrings, Json::array({"a"})},
      {KeyType::kIntegers, Json::array({1})},
      {KeyType::kTable, {{"a", 1}}},
      {KeyType::kTables, Json::array({Json{{"a", 1}}})},
  };
  for_each_key([&](const Format& format, const Json& document, const Json::json_pointer& at,
                   const Key& key) {
    for (const auto& [type, value] : values) {
      const bool is_number = key.type == KeyType::kNumber && type == KeyType::kInteger;
      if (type != key.type && !is_number) expect_refused(format, document, at, value);
    }
  });
}

TEST(DeclaredKeys, OnlyTheirWordsAreTaken) {
  for_each_key(
      [](const Format& format, const Json& document, const Json::json_pointer& at, const Key& key) {
        if (key.type == KeyType::kBoolean) {
          for (const std::string& word : key.later_words)
            expect_refused(format, document, at, word == "true");
          return;
        }
        const auto value = [&](const std::string& word) {
          return key.type == KeyType::kStrings ? Json::array({word}) : Json(word);
        };
        if (key.words.empty()) return;
        expect_refused(format, document, at, value("nonesuch"));
        for (const std::string& word : key.later_words) expect_refused(format, document, at, word);
        if (key.type != KeyType::kString) return;
        for (const std::string& word : key.words) expect_read(format, document, at, word);
      });
}

TEST(DeclaredKeys, BoundsHold) {
  for_each_key(
      [](const Format& format, const Json& document, const Json::json_pointer& at, const Key& key) {
        const auto number = [&](double value) {
          return key.type == KeyType::kInteger ? Json(static_cast<int64_t>(value)) : Json(value);
        };
        if (key.least) {
          expect_refused(format, document, at, number(*key.least - 1));
          expect_read(format, document, at, number(*key.least));
        }
        if (key.above) {
          expect_refused(format, document, at, number(*key.above));
          expect_read(format, document, at, number(*key.above + 0.001));
        }
        if (key.most) {
          expect_refused(format, document, at, number(*key.most + 1));
          expect_read(format, document, at, number(*key.most));
        }
      });
}

TEST(DeclaredKeys, ArraysAreBounded) {
  for_each_key(
      [](const Format& format, const Json& document, const Json::json_pointer& at, const Key& key) {
        const Json& items = document[at];
        if (key.min_items > 0) expect_refused(format, document, at, Json::array());
        if (key.distinct) {
          Json twice = items;
          twice.push_back(items[0]);
          expect_refused(format, document, at, twice);
        }
        if (!key.contains.empty()) {
          ASSERT_NE(key.words.back(), key.contains);
          expect_refused(format, document, at, Json::array({key.words.back()}));
        }
        if (!key.max_items) return;
        Json many = Json::array();
        while (many.size() < *key.max_items) many.push_back("l" + std::to_string(many.size()));
        expect_read(format, document, at, many);
        many.push_back("one more");
        expect_refused(format, document, at, many);
      });
}

TEST(DeclaredKeys, NoKeyAtAllIsTakenWhereDeclared) {
  for (const Format& format : kFormats) {
    const Json document = full_documents(format)[0];
    for (const Place& place : places(format, document)) {
      if (place.record.may_be_empty) expect_read(format, document, place.at, Json::object());
    }
  }
}

TEST(DeclaredKeys, ThoseThatExcludeEachOtherDo) {
  for (const Format& format : kFormats) {
    const std::vector<Json> documents = full_documents(format);
    for (const Place& place : places(format, documents[0])) {
      if (place.record.not_both.empty()) continue;
      const auto other = place.at / place.record.not_both[0];
      ASSERT_FALSE(documents[0].contains(other));
      expect_refused(format, documents[0], other, documents[1].at(other));
    }
  }
}

// What an absent key means is what the schema says that it means.
TEST(DeclaredKeys, FallbacksAreTheReaders) {
  for_each_key(
      [](const Format& format, Json document, const Json::json_pointer& at, const Key& key) {
        if (key.fallback.empty()) return;
        if (key.name == "encoder") document["/input/needs"_json_pointer] = {"text"};
        if (key.name == "encoder") document["/input"_json_pointer].erase("layers");
        Json absent = document;
        absent[at.parent_pointer()].erase(at.back());
        document[at] = parse_toml("v = " + key.fallback, "f", "E_TEST").root["v"];
        if (format.record == registry_record) {
          EXPECT_EQ(parse_registry(to_toml(document), "f"), parse_registry(to_toml(absent), "f"));
        } else {
          EXPECT_EQ(parse_manifest(to_toml(document), "f"), parse_manifest(to_toml(absent), "f"));
        }
      });
}

// Each shape once, under the name of a key that has it.
std::map<const Shape*, std::string> shapes() {
  std::map<const Shape*, std::string> all;
  for (const Format& format : kFormats) {
    for (const Json& document : full_documents(format)) {
      for (const Place& place : places(format, document)) {
        if (place.record.key_shape) all.emplace(place.record.key_shape, place.at.to_string());
        if (place.record.each) all.emplace(place.record.each->shape, place.at.to_string());
        for (const Key& key : place.record.keys) all.emplace(key.shape, key.name);
      }
    }
  }
  all.erase(nullptr);
  return all;
}

TEST(Shapes, PatternsTakeWhatTheReadersTake) {
  EXPECT_EQ(shapes().size(), 12u);
  for (const auto& [shape, name] : shapes()) {
    const std::wregex pattern(wide(shape->pattern));
    size_t taken = 0;
    for (const std::string& text : odd_strings()) {
      EXPECT_EQ(std::regex_search(wide(text), pattern), shape->fits(text)) << name << ": " << text;
      taken += shape->fits(text) ? 1 : 0;
    }
    EXPECT_GT(taken, 0u) << name;
  }
}

TEST(Shapes, ReadersRefuseWhatDoesNotFit) {
  size_t tried = 0;
  for_each_key([&](const Format& format, const Json& document, const Json::json_pointer& at,
                   const Key& key) {
    if (key.shape == nullptr) return;
    for (const std::string& text : odd_strings()) {
      if (key.shape->fits(text) || (in_brief() && ++tried % 3 != 0)) continue;
      expect_refused(format, document, at,
                     key.type == KeyType::kStrings ? Json::array({text}) : Json(text));
    }
  });
}

}  // namespace
}  // namespace moecollab::registry
