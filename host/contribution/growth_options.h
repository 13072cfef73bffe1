// How the gate is to grow; torch-free.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moecollab::contribution {

struct GrowthOptions {
  std::vector<std::string> names;  // the new experts, all of one domain
  int64_t texts = 64;              // texts of the new domain to fit on; at least 1
  bool prototype = false;          // no fit: the row is the mean feature of the new domain
  bool guard = false;              // refuses to save if an old domain cannot be checked
};

}  // namespace moecollab::contribution
