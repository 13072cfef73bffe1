#include "data/dataset.h"

#include <fmt/format.h>

#include <set>
#include <utility>
#include <variant>

#include "base/digest.h"
#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"
#include "data/records.h"

namespace moecollab::data {
namespace {

Format labelled_format(const fs::path& file, Format format) {
  if (format == Format::kAuto) format = format_of(file);
  if (format == Format::kAuto) {
    throw Error("E_DATA", fmt::format("{}: no extension tells its format", shown(file)),
                "say --format jsonl, csv or tsv");
  }
  if (format == Format::kLines) {
    throw Error("E_DATA", fmt::format("{}: plain lines carry no labels", shown(file)),
                "give JSONL with `text` and `label`, or CSV or TSV with a header");
  }
  return format;
}

// Moves what the reader has ready into the dataset; throws at the first refusal.
void take_examples(RecordReader& records, Dataset& dataset) {
  while (std::optional<Entry> entry = records.next()) {
    if (const auto* refused = std::get_if<Refusal>(&*entry)) {
      throw Error("E_DATA",
                  fmt::format("{}:{}: {}", shown(dataset.file), place(*refused), refused->reason),
                  refused->hint);
    }
    auto& record = std::get<Record>(*entry);
    dataset.examples.push_back({std::move(record.text), std::move(record.label), record.line});
  }
}

}  // namespace

Dataset read_dataset(const std::string& domain, const fs::path& file, Format format) {
  Dataset dataset{domain, file, {}, {}};
  RecordReader records(labelled_format(file, format), Need::kTextAndLabel);
  Sha256 digest;
  for_each_chunk(file, "E_DATA", [&](std::string_view bytes) {
    digest.update(bytes);
    records.feed(bytes);
    take_examples(records, dataset);
  });
  records.finish();
  take_examples(records, dataset);
  if (dataset.examples.empty()) {
    throw Error("E_DATA", fmt::format("{}:1: the file holds no examples", shown(file)),
                "a line per text: {\"text\": …, \"label\": …}");
  }
  dataset.sha256 = to_hex(digest.finish());
  return dataset;
}

void require_unchanged(const Dataset& dataset) {
  const std::string now = file_sha256_hex(dataset.file, "E_DATA_CHANGED");
  if (now == dataset.sha256) return;
  throw Error("E_DATA_CHANGED",
              fmt::format("{} changed since it was read: SHA-256 was {}, is {}",
                          shown(dataset.file), dataset.sha256, now),
              "let no one write the file during a run, and start again");
}

std::vector<std::string> labels_of(const Dataset& dataset) {
  std::set<std::string> labels;
  for (const Example& example : dataset.examples) labels.insert(example.label);
  return {labels.begin(), labels.end()};
}

}  // namespace moecollab::data
