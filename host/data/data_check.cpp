#include "data/data_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "base/digest.h"
#include "base/strings.h"
#include "text/unicode.h"

namespace moecollab::data {
namespace {

constexpr uint32_t kNoLabel = std::numeric_limits<uint32_t>::max();
constexpr size_t kListed = 5;  // labels that a warning names

// A label without what people do not see as a difference: letter case and blanks.
std::string folded(std::string_view label) {
  std::string result;
  for (size_t at = 0; at < label.size();) {
    const char32_t c = text::next_code_point(label, &at);
    const bool joins = (c == '_' || c == '-' || (c >= 0x2010 && c <= 0x2015)) && !result.empty();
    if (text::is_white_space(c) || text::is_other(c) || joins) continue;  // "-1" is not "1"
    text::append_lowercase(c, &result);
  }
  return result;
}

std::string quoted_list(const std::vector<std::string>& labels) {
  std::string list;
  for (size_t i = 0; i < std::min(labels.size(), kListed); ++i)
    list += fmt::format("{}`{}`", i == 0 ? "" : ", ", escaped(labels[i], 40));
  return labels.size() > kListed ? list + ", …" : list;
}

}  // namespace

DataCheck::DataCheck(std::function<int64_t(std::string_view)> length, std::string unit)
    : length_(std::move(length)), unit_(std::move(unit)) {}

void DataCheck::add(std::string_view text, std::string_view label, int64_t line) {
  Row row{};
  const Digest digest = sha256(text);
  std::memcpy(row.text.data(), digest.data(), sizeof row.text);
  row.line = static_cast<uint32_t>(std::min<int64_t>(line, std::numeric_limits<uint32_t>::max()));
  row.label = kNoLabel;
  if (label.empty()) {
    ++unlabelled_;
  } else {
    auto found = ids_.find(label);
    if (found == ids_.end()) {
      found = ids_.emplace(label, static_cast<uint32_t>(counts_.size())).first;
      counts_.push_back(0);
    }
    row.label = found->second;
    ++counts_[row.label];
  }
  if (length_) {
    const int64_t length = length_(text);
    shortest_ = rows_.empty() ? length : std::min(shortest_, length);
    longest_ = std::max(longest_, length);
    total_ += length;
  }
  rows_.push_back(row);
  sorted_ = false;
}

void DataCheck::sort() const {
  if (std::exchange(sorted_, true)) return;
  std::ranges::sort(rows_, {}, [](const Row& row) { return std::pair(row.text, row.line); });
}

DataCheck::Duplicates DataCheck::duplicates() const {
  sort();
  Duplicates found;
  for (size_t i = 0; i < rows_.size();) {
    size_t end = i + 1;
    size_t other = 0;
    for (; end < rows_.size() && rows_[end].text == rows_[i].text; ++end) {
      if (other == 0 && rows_[end].label != rows_[i].label) other = end;
    }
    found.texts += end - i > 1 ? 1 : 0;
    if (other > 0) {
      const bool first = found.conflicting++ == 0 || rows_[i].line < found.line;
      if (first) found.line = rows_[i].line;
      if (first) found.other = rows_[other].line;
    }
    i = end;
  }
  return found;
}

std::vector<std::vector<std::string>> DataCheck::alike() const {
  std::map<std::string, std::vector<std::string>> groups;
  for (const auto& [label, id] : ids_) groups[folded(label)].push_back(label);
  std::vector<std::vector<std::string>> found;
  for (auto& [key, labels] : groups) {
    if (labels.size() > 1) found.push_back(std::move(labels));
  }
  return found;
}

std::vector<std::string> DataCheck::alone() const {
  std::vector<std::string> labels;
  for (const auto& [label, id] : ids_) {
    if (counts_[id] == 1) labels.push_back(label);
  }
  return labels;
}

Json DataCheck::to_json() const {
  const Duplicates twice = duplicates();
  Json json = {{"rows", rows_.size()}, {"unlabelled", unlabelled_}, {"labels", Json::object()}};
  for (const auto& [label, id] : ids_) json["labels"][label] = counts_[id];
  json["unit"] = unit_;
  json["shortest"] = shortest_;
  json["longest"] = longest_;
  json["mean"] = rows_.empty()
                     ? Json(nullptr)
                     : Json(static_cast<double>(total_) / static_cast<double>(rows_.size()));
  json["duplicates"] = twice.texts;
  json["duplicates_with_other_labels"] = twice.conflicting;
  json["labels_alike"] = alike();
  json["labels_of_one_text"] = alone();
  return json;
}

std::vector<std::string> DataCheck::warnings() const {
  std::vector<std::string> all;
  if (unlabelled_ > 0 && unlabelled_ == std::ssize(rows_))
    all.push_back("no text has a label; if a column or key holds it, name that: --label-column");
  const Duplicates twice = duplicates();
  if (twice.conflicting > 0) {
    all.push_back(fmt::format(
        "{} under two labels, the first at lines {} and {}",
        twice.conflicting == 1 ? "1 text stands" : fmt::format("{} texts stand", twice.conflicting),
        twice.line, twice.other));
  }
  for (const std::vector<std::string>& labels : alike()) {
    all.push_back(fmt::format("labels that differ only by letter case, blanks or hyphens: {}",
                              quoted_list(labels)));
  }
  if (const std::vector<std::string> labels = alone(); !labels.empty())
    all.push_back(fmt::format("{} {} one text only: {}", labels.size(),
                              labels.size() == 1 ? "label has" : "labels have",
                              quoted_list(labels)));
  if (const auto unknown = ids_.find("-1"); unknown != ids_.end() && ids_.contains("0")) {
    all.push_back(
        fmt::format("{} texts have the label -1, which libraries write for texts without one",
                    counts_[unknown->second]));
  }
  return all;
}

int64_t DataCheck::shared_with(const DataCheck& other) const {
  sort();
  other.sort();
  int64_t shared = 0;
  auto theirs = other.rows_.begin();
  for (auto mine = rows_.begin(); mine != rows_.end(); ++mine) {
    if (mine != rows_.begin() && mine->text == std::prev(mine)->text) continue;
    while (theirs != other.rows_.end() && theirs->text < mine->text) ++theirs;
    shared += theirs != other.rows_.end() && theirs->text == mine->text ? 1 : 0;
  }
  return shared;
}

int64_t count_words(std::string_view text) {
  int64_t words = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const bool space = text::is_white_space(text::next_code_point(text, &at));
    words += !space && !inside ? 1 : 0;
    inside = !space;
  }
  return words;
}

}  // namespace moecollab::data
