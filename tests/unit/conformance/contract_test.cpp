// docs/contract.md, made from the SDK's headers and the table of conformance/contract.h.
#include "conformance/contract.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <regex>
#include <set>

#include "base/files.h"
#include "base/strings.h"
#include "conformance/check.h"
#include "registry/records.h"

namespace moecollab::conformance {
namespace {

const fs::path kRoot = MOECOLLAB_SOURCE_DIR;
constexpr const char* kHeaders[] = {"abi.h",
                                    "note.h",
                                    "ext/params.h",
                                    "ext/train.h",
                                    "ext/fit.h",
                                    "ext/state.h",
                                    "ext/encoder.h",
                                    "ext/draft/blocks.h",
                                    "ext/draft/bottleneck.h",
                                    "ext/draft/device.h",
                                    "ext/draft/explain.h",
                                    "ext/draft/precision.h"};

struct Sentence {
  std::string rule, text;
};

constexpr const char* kManifest = "expert.toml";  // of the page docs/package.md

// Every key of the manifest: what it may be binds the author, and so does its meaning.
void append_keys(const std::string& path, const Record& record, std::vector<Sentence>& all) {
  for (const Key& key : record.keys) {
    const bool table =
        key.record != nullptr && (key.type == KeyType::kTable || key.type == KeyType::kTables);
    if (table)
      append_keys(path + key.name + ".", *key.record, all);
    else
      all.push_back({path + key.name, key.meaning});
  }
  if (record.each) all.push_back({path + "NAME", record.each->meaning});
}

std::string in_one_line(const std::string& comment) {
  std::string text = std::regex_replace(comment, std::regex("\n *\\* ?"), " ");
  return std::regex_replace(text, std::regex("  +"), " ");
}

// A comment's text up to its marker, from the end of the sentence before.
std::string sentence_before(std::string_view text) {
  size_t start = 0;
  for (const std::string_view end : {". ", "[thread-safe] ", "[one call per object] "}) {
    for (size_t at = text.find(end); at != text.npos && at + end.size() < text.size();
         at = text.find(end, at + 1))
      start = std::max(start, at + end.size());
  }
  std::string sentence(text.substr(start));
  sentence = std::regex_replace(sentence, std::regex("^[ ,;.:]*(and |or )?"), "",
                                std::regex_constants::format_first_only);
  while (!sentence.empty() && sentence.back() == ' ') sentence.pop_back();
  if (!sentence.empty())
    sentence[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(sentence[0])));
  return sentence;
}

std::vector<Sentence> sentences_of(const std::string& header) {
  std::vector<Sentence> all;
  for (size_t at = header.find("/*"); at != header.npos; at = header.find("/*", at + 2)) {
    const size_t end = header.find("*/", at);
    const std::string comment = in_one_line(header.substr(at + 2, end - at - 2));
    static const std::regex marker("@rule ([a-z0-9-]+)");
    size_t from = 0;
    for (auto m = std::sregex_iterator(comment.begin(), comment.end(), marker);
         m != std::sregex_iterator(); ++m) {
      const auto position = static_cast<size_t>(m->position());
      all.push_back(
          {(*m)[1], sentence_before(std::string_view(comment).substr(from, position - from))});
      from = position + static_cast<size_t>(m->length());
    }
  }
  return all;
}

const std::map<std::string, std::vector<Sentence>>& sentences() {
  static const auto all = [] {
    std::map<std::string, std::vector<Sentence>> by_header;
    for (const char* header : kHeaders)
      by_header[header] =
          sentences_of(read_file(kRoot / "sdk/include/moecollab" / header, "E_TEST"));
    append_keys("", registry::manifest_record(), by_header[kManifest]);
    return by_header;
  }();
  return all;
}

std::vector<Rule> all_rules() {
  std::vector<Rule> all(contract().begin(), contract().end());
  all.insert(all.end(), manifest_contract().begin(), manifest_contract().end());
  return all;
}

std::string page() {
  std::string rows;
  size_t all = 0, partly = 0, never = 0;
  std::vector<const char*> sources(std::begin(kHeaders), std::end(kHeaders));
  sources.push_back(kManifest);
  for (const char* header : sources) {
    const std::vector<Sentence>& of_header = sentences().at(header);
    if (of_header.empty()) continue;
    rows += fmt::format(
        "\n## {}\n| rule | binds an author to | checks | what no check sees |\n|---|---|---|---|\n",
        header);
    for (const Sentence& sentence : of_header) {
      const std::vector<Rule> rules = all_rules();
      const auto rule = std::ranges::find(rules, sentence.rule,
                                          [](const Rule& r) { return std::string(r.name); });
      if (rule == rules.end()) continue;
      ++all;
      const bool some = *rule->unchecked != '\0';
      partly += some && *rule->checks != '\0';
      never += *rule->checks == '\0';
      std::vector<std::string> checks;
      for (const std::string& check : checks_of(*rule)) checks.push_back("`" + check + "`");
      rows += fmt::format("| {} | {} | {} | {} |\n", rule->name, sentence.text,
                          checks.empty() ? "–" : join(checks, ", "), rule->unchecked);
    }
  }
  return fmt::format(
             "# The contract, rule by rule\n\nEvery sentence of the SDK's headers that binds "
             "whoever writes an expert (`@rule NAME` there), every key of the manifest "
             "([package.md](package.md)), and the checks of `moecollab validate` that hold a "
             "package to it. {} rules: {} with a check, {} of these in part, {} without. "
             "`validate` names a finding's rules; `moecollab validate --list` has every "
             "check's.\n\n"
             "This page is made from the headers, the manifest's reader and "
             "`host/conformance/contract.cpp` by "
             "`MOECOLLAB_WRITE_PAGES=1 build/bin/test_conformance --gtest_filter='Contract.*'`; a "
             "test fails if it is not up to date.\n",
             all, all - never, partly, never) +
         rows;
}

TEST(Contract, EverySentenceThatBindsHasARowAndEveryRowASentence) {
  std::set<std::string> marked, rows;
  for (const auto& [header, of_header] : sentences()) {
    for (const Sentence& sentence : of_header) {
      EXPECT_TRUE(marked.insert(sentence.rule).second) << sentence.rule << " stands twice";
      EXPECT_GE(sentence.text.size(), 8u) << sentence.rule << ": " << sentence.text;
    }
  }
  for (const Rule& rule : all_rules()) {
    EXPECT_TRUE(rows.insert(rule.name).second) << rule.name;
    EXPECT_TRUE(*rule.checks != '\0' || *rule.unchecked != '\0') << rule.name;
  }
  EXPECT_EQ(marked, rows);
}

TEST(Contract, NamesChecksThatAreThereAndEveryOneThatJudgesTheLibrary) {
  std::set<std::string> named, there;
  for (const Rule& rule : all_rules()) {
    for (const std::string& check : checks_of(rule)) named.insert(check);
  }
  for (const Check& check : all_checks()) there.insert(check.id);
  // `latency` judges nothing; a host's blocks are judged by their answers.
  for (const char* other : {"latency", "blocks"}) there.erase(other);
  EXPECT_EQ(named, there);
}

TEST(Contract, IsWhatItsPageSays) {
  const fs::path path = kRoot / "docs/contract.md";
  const std::string made = page();
  if (std::getenv("MOECOLLAB_WRITE_PAGES") != nullptr) write_file_atomic(path, made);
  EXPECT_EQ(read_file(path, "E_TEST"), made)
      << "MOECOLLAB_WRITE_PAGES=1 build/bin/test_conformance --gtest_filter='Contract.*'";
}

}  // namespace
}  // namespace moecollab::conformance
