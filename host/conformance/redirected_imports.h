// Imports of one loaded library that lead to functions of ours; nobody else's do.
#pragma once

#include <map>
#include <string_view>

namespace moecollab::conformance {

// Points the library's imports of these names at these functions, for the rest of the process.
// `code`: any function of the library. Throws E_INTERNAL if the loader does not know it.
void redirect_imports(const void* code, const std::map<std::string_view, void*>& functions);

template <typename Function>
void* address_of(Function* function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace moecollab::conformance
