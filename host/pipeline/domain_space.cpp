#include "pipeline/domain_space.h"

#include <fmt/format.h>

#include <set>
#include <vector>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::pipeline {

std::optional<int> find_domain_space(const registry::RegistryFile& registry,
                                     std::span<const InstalledExpert* const> experts,
                                     const fusion::LabelUnion& labels, const std::string& domain) {
  const auto stated = registry.domains.find(domain);
  if (stated != registry.domains.end()) return labels.find(stated->second);
  std::set<int> spaces;
  std::vector<std::string> names;
  for (const InstalledExpert* expert : experts) {
    if (expert->domain() == domain && spaces.insert(expert->labels.space).second)
      names.push_back(labels.spaces()[static_cast<size_t>(expert->labels.space)].name);
  }
  if (spaces.size() > 1) {
    throw Error("E_DATA",
                fmt::format("the experts of domain {} answer in several label spaces: {}", domain,
                            join(names, ", ")),
                fmt::format("say which one in registry.toml: [domains] {} = \"…\"", domain));
  }
  return spaces.empty() ? std::nullopt : std::optional(*spaces.begin());
}

}  // namespace moecollab::pipeline
