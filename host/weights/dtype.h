// Element types of the safetensors format.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace moecollab::weights {

// In the reference's order (increasing alignment), which decides the order of tensors in a file.
enum class DType : uint8_t {
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kF8E4M3FNUZ,
  kF8E5M2FNUZ,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64,
};

// The name in the file's header: "F32", "F6_E2M3", …
std::string_view name(DType dtype);

// Bits of one element: 4, 6, 8, 16, 32 or 64.
unsigned bits(DType dtype);

// The inverse of name(); nothing for any other text.
std::optional<DType> parse_dtype(std::string_view text);

// "; did you mean `F32`?" or "" for a text that parse_dtype does not know.
std::string dtype_suggestion(std::string_view text);

}  // namespace moecollab::weights
