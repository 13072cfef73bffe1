#include "base/error.h"

#include <utility>

namespace moecollab {

int exit_status(std::string_view code) {
  // Longer names first if one is a prefix of another.
  static constexpr std::pair<std::string_view, int> kFamilies[] = {
      {"E_DIST", 1},   {"E_CONFIG", 2}, {"E_DATA", 3},    {"E_REG", 4},     {"E_ST", 4},
      {"E_VOCAB", 4},  {"E_GATE", 4},   {"E_CKPT", 4},    {"E_ENCODER", 4}, {"E_PLUG", 5},
      {"E_ELF", 5},    {"E_ABI", 5},    {"E_DESC", 5},    {"E_OUT", 5},     {"E_IPC", 5},
      {"E_POLICY", 5}, {"E_TRAIN", 5},  {"E_REQUIRE", 6}, {"E_WRITE", 7},   {"E_LOCK", 7}};
  for (const auto& [family, status] : kFamilies) {
    if (code.starts_with(family)) return status;
  }
  return 1;
}

}  // namespace moecollab
