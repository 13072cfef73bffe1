#include "weights/refusal.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::weights {

void refuse(std::string_view file, const char* code, std::string_view what, std::string hint) {
  if (hint.empty()) {
    hint = "the file is damaged or not a safetensors file; fetch or export it again";
  }
  throw Error(code, fmt::format("{}: {}", escaped(file), what), std::move(hint));
}

std::string shown(std::string_view name) { return escaped(name, 80); }

}  // namespace moecollab::weights
