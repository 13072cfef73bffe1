// One tensor of a safetensors file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "weights/dtype.h"

namespace moecollab::weights {

// A tensor that lies in someone else's memory: row-major, little-endian, at any alignment.
struct TensorView {
  std::string_view name;
  DType dtype{};
  std::vector<int64_t> shape;       // Empty for a scalar; no dimension is negative.
  std::span<const std::byte> data;  // Exactly the elements' bytes; empty if a dimension is 0.
};

}  // namespace moecollab::weights
