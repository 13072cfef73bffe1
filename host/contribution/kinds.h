// The kinds of experts that can be trained.
#pragma once

#include <string>

#include "base/files.h"

namespace moecollab::contribution {

// The package folder of a kind: a stock kind ("adapter", "lexical") beside the engine library, or a
// path (with a slash, or an existing folder or file). Throws E_CONFIG listing the stock kinds
// otherwise.
fs::path find_kind(const std::string& kind);

}  // namespace moecollab::contribution
