#include "evaluation/report_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::evaluation {
namespace {

const Json& null_value() {
  static const Json value;
  return value;
}

[[noreturn]] void refuse(Path path, const Json& value, std::string_view expected) {
  std::vector<std::string> keys;
  for (const std::string_view key : path) keys.push_back(escaped(key, 60));
  throw Error("E_DATA",
              fmt::format("report: `{}` is of type {}, expected {}", join(keys, "."),
                          value.type_name(), expected),
              "write the report with `moecollab eval --report FILE.json`");
}

std::string scaled_by(double value, double step, std::initializer_list<const char*> prefixes,
                      std::string_view unit) {
  auto prefix = prefixes.begin();
  while (std::abs(value) >= step && prefix + 1 != prefixes.end()) {
    value /= step;
    ++prefix;
  }
  const int digits = **prefix == '\0' && value == std::floor(value) ? 0 : 2;
  return fmt::format("{:.{}f} {}{}", value, digits, *prefix, unit);
}

}  // namespace

void require_report(const Json& report) {
  const auto schema = report.is_object() ? text_at(report, {"schema"}) : std::nullopt;
  if (schema == kReportSchema) return;
  throw Error("E_DATA",
              fmt::format("not a report: the schema is `{}`, expected `{}`",
                          escaped(schema.value_or("absent"), 60), kReportSchema),
              "write one with `moecollab eval --report FILE.json`");
}

const Json& value_at(const Json& root, Path path) {
  const Json* value = &root;
  for (const std::string_view key : path) {
    if (value->is_null()) return null_value();
    if (!value->is_object()) refuse(path, *value, fmt::format("an object with `{}`", key));
    const auto found = value->find(std::string(key));
    if (found == value->end()) return null_value();
    value = &*found;
  }
  return *value;
}

std::optional<double> number_at(const Json& root, Path path) {
  const Json& value = value_at(root, path);
  if (value.is_null()) return std::nullopt;
  if (!value.is_number()) refuse(path, value, "a number");
  const double number = value.get<double>();
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}

std::optional<std::string> text_at(const Json& root, Path path) {
  const Json& value = value_at(root, path);
  if (value.is_null()) return std::nullopt;
  if (value.is_string()) return value.get<std::string>();
  if (value.is_structured()) refuse(path, value, "a text");
  return to_line(value);
}

const Json& object_at(const Json& root, Path path) {
  static const Json empty = Json::object();
  const Json& value = value_at(root, path);
  if (value.is_null()) return empty;
  if (!value.is_object()) refuse(path, value, "an object");
  return value;
}

const Json& array_at(const Json& root, Path path) {
  static const Json empty = Json::array();
  const Json& value = value_at(root, path);
  if (value.is_null()) return empty;
  if (!value.is_array()) refuse(path, value, "an array");
  return value;
}

std::string decimal(std::optional<double> value, int digits) {
  return value ? fmt::format("{:.{}f}", *value, digits) : kNoValue;
}

std::string score(std::optional<double> value) { return decimal(value, 3); }

std::string count(std::optional<double> value) {
  if (!value) return kNoValue;
  std::string text = fmt::format("{:.{}f}", *value, *value == std::floor(*value) ? 0 : 2);
  const size_t first_digit = text.starts_with('-') ? 1 : 0;
  for (size_t at = std::min(text.find('.'), text.size()); at > first_digit + 3;) {
    at -= 3;
    text.insert(at, 1, ',');
  }
  return text;
}

std::string percent(std::optional<double> value) {
  return value ? fmt::format("{:.1f} %", 100 * *value) : kNoValue;
}

std::string points(std::optional<double> change) {
  return change ? fmt::format("{:+.2f}", 100 * *change) : std::string(kNoValue);
}

std::string bounds(const Json& change) {
  const auto low = number_at(change, {"low"}), high = number_at(change, {"high"});
  return low && high ? fmt::format("[{:+.2f}, {:+.2f}]", 100 * *low, 100 * *high) : "";
}

std::string scaled(std::optional<double> value, std::string_view unit) {
  return value ? scaled_by(*value, 1000, {"", "k", "M", "G", "T", "P"}, unit) : kNoValue;
}

std::string bytes(std::optional<double> value) {
  return value ? scaled_by(*value, 1024, {"", "Ki", "Mi", "Gi", "Ti"}, "B") : kNoValue;
}

std::string text_or_none(const std::optional<std::string>& value) {
  return value.value_or(kNoValue);
}

std::string list(const Json& values) {
  if (values.is_null()) return kNoValue;
  if (!values.is_array()) return to_line(values);
  std::vector<std::string> parts;
  for (const Json& value : values) {
    parts.push_back(value.is_string() ? value.get<std::string>() : to_line(value));
  }
  return parts.empty() ? "none" : join(parts, ", ");
}

}  // namespace moecollab::evaluation
