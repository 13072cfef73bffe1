#include "data/table_record.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"
#include "data/clean_text.h"
#include "data/label_exports.h"
#include "data/refusal.h"

namespace moecollab::data {
namespace {

using TableNames = std::vector<std::string_view>;

std::optional<size_t> place_of(const std::vector<std::string>& names, std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) return std::nullopt;
  return static_cast<size_t>(found - names.begin());
}

}  // namespace

TableRecords::TableRecords(const Columns& columns, Need need)
    : columns_(columns), need_(need), labels_(columns_) {
  if (!columns_.names.empty()) settle({columns_.names.begin(), columns_.names.end()});
}

std::optional<Record> TableRecords::read(const Row& row) {
  if (!row.damage.empty()) throw Refused(row.damage, row.hint, row.damaged_column);
  if (names_.empty()) {
    read_header(row);
    return std::nullopt;
  }
  if (std::ranges::all_of(row.fields, &std::string_view::empty)) {
    ++padding_;
    return std::nullopt;
  }
  if (row.fields.size() != names_.size()) {
    throw Refused(
        fmt::format("the row has {} columns, the header {}", row.fields.size(), names_.size()),
        "a field with a delimiter or a line break in it stands in double quotes",
        std::min(row.fields.size(), names_.size()) + 1);
  }
  Record record;
  record.line = row.line;
  record.text = text_of(row);
  if (need_ != Need::kText) read_label(row, record);
  if (need_ != Need::kTextAndLabel && places_.id) {
    const std::string_view id = row.fields[*places_.id];
    require_clean_bytes(id, what_[*places_.id], *places_.id + 1);
    id_ = to_line(Json(std::string(id)));
    record.id = id_;
  }
  return record;
}

void TableRecords::read_header(const Row& row) {
  for (size_t i = 0; i < row.fields.size(); ++i)
    require_clean_bytes(row.fields[i], fmt::format("the name of column {}", i + 1), i + 1);
  settle({row.fields.begin(), row.fields.end()});
}

void TableRecords::settle(const TableNames& names) {
  places_ = find_columns(names, columns_, need_);
  names_.assign(names.begin(), names.end());
  for (size_t i = 0; i < names.size(); ++i)
    what_.push_back(fmt::format("column {} (`{}`)", i + 1, escaped(names[i], 40)));
  if (place_of(names_, "annotation_id")) {
    tool_ = true;
    task_ = place_of(names_, "id");
  }
  // Doccano's tables: a column Comments, or the text under `data` as before 1.7; and Argilla's flat
  // ones.
  doccano_ = place_of(names_, "Comments") || names[places_.text.front()] == "data";
  tool_ |= doccano_ || place_of(names_, "label.responses");
}

std::string_view TableRecords::text_of(const Row& row) {
  joined_.clear();
  for (const size_t place : places_.text) {
    const std::string_view field = row.fields[place];
    require_clean_bytes(field, what_[place], place + 1);
    if (places_.text.size() == 1) {
      require_content(field, what_[place], place + 1);
      return field;
    }
    append_part(joined_, field);
  }
  require_content(joined_, "the text of the joined columns", places_.text.front() + 1);
  return joined_;
}

void TableRecords::read_label(const Row& row, Record& record) {
  if (!places_.label) {
    record.labelled = Labelled::kNo;
    return;
  }
  const size_t place = *places_.label;
  const std::string_view field = row.fields[place];
  require_clean_bytes(field, what_[place], place + 1);
  if (task_) record.task = row.fields[*task_];
  if (tool_ && field.empty()) {
    record.labelled = Labelled::kNo;
    return;
  }
  // Doccano joins several labels so.
  if (doccano_ && field.find('#') != std::string_view::npos) {
    refuse_multi_label(what_[place], static_cast<size_t>(std::ranges::count(field, '#')) + 1,
                       place + 1);
  }
  const auto label = labels_.from_text(field, what_[place], place + 1);
  record.labelled = label ? Labelled::kYes : Labelled::kNo;
  record.label = label.value_or(std::string_view());
}

}  // namespace moecollab::data
