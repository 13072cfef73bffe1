#include "ablation/ablation_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::ablation {

std::vector<std::string> chosen_groups(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (std::ranges::find(kGroups, word) != kGroups.end()) continue;
    throw Error("E_CONFIG", fmt::format("there is no ablation {}", escaped(word, 40)),
                fmt::format("use some of {}", fmt::join(kGroups, ", ")));
  }
  std::vector<std::string> chosen;
  for (const std::string_view group : kGroups)
    if (words.empty() || std::ranges::find(words, group) != words.end()) chosen.emplace_back(group);
  return chosen;
}

}  // namespace moecollab::ablation
