#include "data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "base/digest.h"
#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"
#include "data/byte_source.h"
#include "data/data_check.h"
#include "data/entries.h"

namespace moecollab::data {
namespace {

// Collects the examples of one file.
class Collector {
 public:
  explicit Collector(Dataset& dataset) : dataset_(dataset) {}

  // After the first refusal, records are counted only.
  void take(const Entry& entry) {
    if (refused_) {
      ++following_;
    } else if (const auto* refused = std::get_if<Refusal>(&entry)) {
      refused_ = *refused;
    } else {
      add(std::get<Record>(entry));
    }
  }

  // Throws the refusal, if there was one; else warns about what is left out.
  void finish(Log log) const {
    if (refused_) {
      throw_refusal(dataset_.file, *refused_,
                    following_ == 0 ? "" : fmt::format(" ({} records follow it)", following_));
    }
    warn(log, unlabelled_, "without a label");
    warn(log, disagreements(), "whose annotators disagree");
  }

  // Leaves out the tasks whose annotations disagree, and all but the first of the others.
  void merge_tasks() {
    if (tasks_.empty()) return;
    std::vector<Example> kept;
    for (size_t i = 0; i < dataset_.examples.size(); ++i) {
      const Task* task = i < tasks_of_.size() ? tasks_of_[i] : nullptr;
      if (task == nullptr || (!task->disagreed && task->first == i))
        kept.push_back(std::move(dataset_.examples[i]));
    }
    dataset_.examples = std::move(kept);
  }

 private:
  // The annotations of one text.
  struct Task {
    size_t first = 0;  // example
    int64_t line = 0;
    bool disagreed = false;
  };
  struct LeftOut {
    int64_t count = 0, first_line = 0;
    void add(int64_t line) {
      if (count++ == 0) first_line = line;
    }
  };

  void add(const Record& record) {
    if (record.labelled == Labelled::kNo) return unlabelled_.add(record.line);
    if (record.labelled == Labelled::kDisagreed) return disagreed_.add(record.line);
    const size_t place = dataset_.examples.size();
    dataset_.examples.push_back({std::string(record.text), std::string(record.label), record.line});
    if (record.task.empty()) return;
    const auto [found, is_new] =
        tasks_.try_emplace(std::string(record.task), Task{place, record.line, false});
    Task& task = found->second;
    if (!is_new) task.disagreed |= dataset_.examples[task.first].label != record.label;
    tasks_of_.resize(place);
    tasks_of_.push_back(&task);
  }

  LeftOut disagreements() const {
    LeftOut all = disagreed_;
    for (const auto& [name, task] : tasks_) {
      if (!task.disagreed) continue;
      all.first_line = all.count == 0 ? task.line : std::min(all.first_line, task.line);
      ++all.count;
    }
    return all;
  }

  void warn(Log log, const LeftOut& left_out, const char* what) const {
    if (left_out.count == 0) return;
    log.warning(fmt::format("{}: {} texts {} are left out, the first at line {}",
                            shown(dataset_.file), left_out.count, what, left_out.first_line));
  }

  Dataset& dataset_;
  std::optional<Refusal> refused_;
  int64_t following_ = 0;
  LeftOut unlabelled_, disagreed_;
  std::map<std::string, Task> tasks_;
  std::vector<const Task*> tasks_of_;  // by example; empty if the file is no export with tasks
};

// What can be read only once cannot change afterwards.
bool is_stream(const fs::path& file) {
  std::error_code ignored;
  const fs::file_type type = fs::status(file, ignored).type();
  return is_standard_input(file) || type == fs::file_type::fifo || type == fs::file_type::character;
}

void warn_about(const Dataset& dataset, Log log) {
  DataCheck check;
  for (const Example& example : dataset.examples)
    check.add(example.text, example.label, example.line);
  for (const std::string& warning : check.warnings())
    log.warning(fmt::format("{}: {}", shown(dataset.file), warning),
                "`moecollab data check` shows what the file holds");
}

void note_labels(const Dataset& dataset, const LabelCounts& counts, Log log) {
  const std::string file = shown(dataset.file);
  if (counts.stripped > 0)
    log.note(fmt::format("{}: white space around {} labels is dropped", file, counts.stripped));
  if (counts.composed > 0)
    log.note(fmt::format("{}: {} labels are brought into Unicode's form C", file, counts.composed));
  if (counts.numbers > 0 && counts.numbers == static_cast<int64_t>(dataset.examples.size())) {
    log.note(
        fmt::format("{}: the labels are class numbers without names; name them with "
                    "--label-names, or with a column `label_text`",
                    file));
  }
}

}  // namespace

Dataset read_dataset(const std::string& domain, const fs::path& file, const Reading& reading,
                     Log log) {
  Dataset dataset{domain, file, {}, {}};
  Collector collector(dataset);
  const FileFacts facts = for_each_entry(file, reading, Need::kTextAndLabel, log,
                                         [&](const Entry& entry) { collector.take(entry); });
  if (facts.format == Format::kLines) {
    throw Error("E_DATA", fmt::format("{}: plain lines carry no labels", shown(file)),
                "give JSON Lines with `text` and `label`, or CSV or TSV with a header");
  }
  collector.finish(log);
  note_labels(dataset, facts.labels, log);
  collector.merge_tasks();
  warn_about(dataset, log);
  if (dataset.examples.empty()) {
    throw Error("E_DATA", fmt::format("{}:1: the file holds no examples", shown(file)),
                "a line per text: {\"text\": …, \"label\": …}");
  }
  dataset.sha256 = facts.sha256;
  return dataset;
}

void require_unchanged(const Dataset& dataset) {
  if (is_stream(dataset.file)) return;
  const std::string now = file_sha256_hex(dataset.file, "E_DATA_CHANGED");
  if (now == dataset.sha256) return;
  throw Error("E_DATA_CHANGED",
              fmt::format("{} changed since it was read: SHA-256 was {}, is {}",
                          shown(dataset.file), dataset.sha256, now),
              "let no one write the file during a run, and start again");
}

std::string digest_as_read(const Dataset& dataset) {
  std::string all;
  for (const Example& example : dataset.examples)
    all += sha256_hex(example.text) + sha256_hex(example.label);
  return sha256_hex(all);
}

std::vector<std::string> labels_of(const Dataset& dataset) {
  std::set<std::string> labels;
  for (const Example& example : dataset.examples) labels.insert(example.label);
  return {labels.begin(), labels.end()};
}

}  // namespace moecollab::data
