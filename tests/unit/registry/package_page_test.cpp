// docs/package.md, made from the keys that the manifest's reader checks itself against and from the
// sample manifest.
#include <cstdlib>

#include "base/strings.h"
#include "registry/records.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

const fs::path kRoot = MOECOLLAB_SOURCE_DIR;

const char* type_name(KeyType type) {
  switch (type) {
    case KeyType::kInteger:
      return "integer";
    case KeyType::kNumber:
      return "number";
    case KeyType::kBoolean:
      return "true or false";
    case KeyType::kStrings:
      return "list of strings";
    case KeyType::kIntegers:
      return "list of integers";
    case KeyType::kTable:
      return "table";
    case KeyType::kTables:
      return "tables";
    default:
      return "string";
  }
}

std::string number(double value) { return fmt::format("{}", value); }

// What a value may be, beside its type.
std::string limits(const Key& key) {
  std::vector<std::string> all;
  if (!key.words.empty()) all.push_back("one of `" + join(key.words, "`, `") + "`");
  if (key.least) all.push_back("at least " + number(*key.least));
  if (key.above) all.push_back("more than " + number(*key.above));
  if (key.most) all.push_back("at most " + number(*key.most));
  if (key.min_items > 0) all.push_back(fmt::format("{} items at least", key.min_items));
  if (key.max_items) all.push_back(fmt::format("{} items at most", *key.max_items));
  if (key.distinct) all.push_back("no item twice");
  return join(all, ", ");
}

std::string in_a_cell(const std::string& text) {
  std::string cell;
  for (const char c : text) cell += c == '|' ? std::string("\\|") : std::string(1, c);
  return cell;
}

// `path`: of the table, as "input."; "" at the top.
void append_table(const std::string& path, const Record& record, std::string& page) {
  std::vector<const Key*> tables;
  std::string rows;
  const auto row = [&](const Key& key, const std::string& name) {
    if (key.record != nullptr && (key.type == KeyType::kTable || key.type == KeyType::kTables))
      return tables.push_back(&key);
    const std::string limit = limits(key);
    rows += fmt::format("| `{}` | {}{}{} | {} | {}{} |\n", name, type_name(key.type),
                        limit.empty() ? "" : ": ", in_a_cell(limit),
                        key.required           ? "required"
                        : key.fallback.empty() ? "–"
                                               : "`" + key.fallback + "`",
                        in_a_cell(key.meaning), key.later ? " (of a later version)" : "");
  };
  for (const Key& key : record.keys) row(key, key.name);
  if (record.each) row(*record.each, "NAME");
  if (!rows.empty())
    page += fmt::format("\n| key | value | if absent | meaning |\n|---|---|---|---|\n{}", rows);
  for (const Key* table : tables) {
    const std::string name =
        table->type == KeyType::kTables ? "[[" + path + table->name + "]]"
                                        : "[" + path + table->name + "]";
    page +=
        fmt::format("\n### {}\n{}{}\n", name, table->meaning, table->required ? " Required." : "");
    append_table(path + table->name + ".", *table->record, page);
  }
}

std::string made_page() {
  std::string page =
      "# A package and its manifest\n\n"
      "A package is a folder, or one file `NAME.moec` of it, with\n\n"
      "| file | what it is |\n|---|---|\n"
      "| `expert.toml` | the manifest: this page |\n"
      "| `libNAME.so` | the library: [abi.h](../sdk/include/moecollab/abi.h), "
      "[the contract](contract.md) |\n"
      "| `weights.safetensors` | what was learnt: float32 tensors, finite; absent in a kind |\n"
      "| `labels.txt` | instead of `labels`: one label per line |\n"
      "| `probe.json` | a few texts and the logits that they must get; `train-expert` writes it |\n"
      "| `routing.safetensors` | features of its training texts, if the contributor ships them |\n"
      "| `expert.toml.minisig` | a signature over the manifest, which vouches for every other file "
      "|\n\n"
      "`moecollab_add_expert()` writes the folder and `[files]`; `moecollab train-expert` makes an "
      "expert of a kind; `pack` and `sign` make one file of it; `validate` holds it against the "
      "contract; `experts inspect` shows what an operator sees. An editor that knows TOML schemas "
      "(taplo, Even Better TOML) completes and checks the keys: begin the file with "
      "`#:schema PATH/expert.schema.json`; the schema lies in "
      "`registry/schema/` of a checkout, in `share/moecollab/schema/` of an installation.\n\n"
      "This page is made from the reader's own table of keys by `MOECOLLAB_WRITE_PAGES=1 "
      "build/bin/test_registry --gtest_filter='PackagePage.*'`; a test fails if it is not up to "
      "date. An unknown key is an error that names the nearest one.\n\n"
      "## Keys of expert.toml\n";
  append_table("", manifest_record(), page);
  page += "\n## Every key in one file\n```toml\n" +
          read_file(kRoot / "registry/experts/example/expert.toml", "E_TEST") + "```\n";
  return page;
}

TEST(PackagePage, IsWhatTheDeclaredKeysGive) {
  const fs::path path = kRoot / "docs/package.md";
  const std::string made = made_page();
  if (std::getenv("MOECOLLAB_WRITE_PAGES") != nullptr) write_file_atomic(path, made);
  EXPECT_TRUE(read_file(path, "E_TEST") == made)
      << path << " is not what the declared keys give; write it again with "
      << "MOECOLLAB_WRITE_PAGES=1 build/bin/test_registry --gtest_filter='PackagePage.*'";
}

}  // namespace
}  // namespace moecollab::registry
