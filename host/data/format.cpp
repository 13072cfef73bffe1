#include "data/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::data {
namespace {

constexpr std::pair<std::string_view, Format> kNames[] = {{"auto", Format::kAuto},
                                                          {"jsonl", Format::kJsonl},
                                                          {"csv", Format::kCsv},
                                                          {"tsv", Format::kTsv},
                                                          {"lines", Format::kLines}};

constexpr std::pair<std::string_view, Format> kExtensions[] = {
    {"", Format::kAuto},       {".jsonl", Format::kJsonl}, {".ndjson", Format::kJsonl},
    {".json", Format::kJsonl}, {".csv", Format::kCsv},     {".tsv", Format::kTsv},
    {".tab", Format::kTsv},    {".txt", Format::kLines}};

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

}  // namespace

Format parse_format(std::string_view name) {
  std::vector<std::string> known;
  for (const auto& [text, format] : kNames) {
    if (name == text) return format;
    known.emplace_back(text);
  }
  throw Error("E_CONFIG",
              fmt::format("`{}` is no format{}", escaped(name, 40), did_you_mean(name, known)),
              "the formats are " + join(known, ", "));
}

Format format_of(const fs::path& file) {
  const std::string extension = lower(file.extension().string());
  for (const auto& [text, format] : kExtensions) {
    if (extension == text) return format;
  }
  throw Error("E_DATA",
              fmt::format("{}: the extension `{}` stands for no format", escaped(file.string()),
                          escaped(extension, 40)),
              "say --format jsonl, csv, tsv or lines");
}

bool has_columns(Format format) { return format == Format::kCsv || format == Format::kTsv; }

}  // namespace moecollab::data
