// The texts that a benchmark is run on.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "data/text_source.h"

namespace moecollab {

// The texts of a file (JSONL or lines), every record of which can be read.
inline std::vector<std::string> texts_of(const char* file) {
  data::TextSource source({file}, {}, {});
  std::vector<std::string> texts;
  while (const std::optional<data::TextItem> item = source.next())
    texts.push_back(std::get<data::TextRecord>(*item).text);
  return texts;
}

}  // namespace moecollab
