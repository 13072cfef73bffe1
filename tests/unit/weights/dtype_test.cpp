#include "weights/dtype.h"

#include <gtest/gtest.h>

#include <tuple>
#include <vector>

namespace moecollab::weights {
namespace {

// The reference's enum Dtype, in its order.
const std::vector<std::tuple<const char*, DType, unsigned>> kReference{
    {"BOOL", DType::kBool, 8},
    {"F4", DType::kF4, 4},
    {"F6_E2M3", DType::kF6E2M3, 6},
    {"F6_E3M2", DType::kF6E3M2, 6},
    {"U8", DType::kU8, 8},
    {"I8", DType::kI8, 8},
    {"F8_E5M2", DType::kF8E5M2, 8},
    {"F8_E4M3", DType::kF8E4M3, 8},
    {"F8_E8M0", DType::kF8E8M0, 8},
    {"F8_E4M3FNUZ", DType::kF8E4M3FNUZ, 8},
    {"F8_E5M2FNUZ", DType::kF8E5M2FNUZ, 8},
    {"I16", DType::kI16, 16},
    {"U16", DType::kU16, 16},
    {"F16", DType::kF16, 16},
    {"BF16", DType::kBF16, 16},
    {"I32", DType::kI32, 32},
    {"U32", DType::kU32, 32},
    {"F32", DType::kF32, 32},
    {"C64", DType::kC64, 64},
    {"F64", DType::kF64, 64},
    {"I64", DType::kI64, 64},
    {"U64", DType::kU64, 64},
};

TEST(DType, NamesBitsAndOrderAreTheReferences) {
  for (size_t i = 0; i < kReference.size(); ++i) {
    const auto& [text, dtype, size] = kReference[i];
    EXPECT_EQ(static_cast<size_t>(dtype), i) << text;
    EXPECT_EQ(name(dtype), text);
    EXPECT_EQ(bits(dtype), size) << text;
    EXPECT_EQ(parse_dtype(text), dtype) << text;
  }
}

TEST(DType, OtherNamesAreUnknown) {
  for (const char* text : {"", "f32", "F32 ", "F128", "float32", "F8"}) {
    EXPECT_EQ(parse_dtype(text), std::nullopt) << text;
  }
}

TEST(DType, SuggestsTheNearestForShortTextsOnly) {
  EXPECT_EQ(dtype_suggestion("BF61"), "; did you mean `BF16`?");
  EXPECT_EQ(dtype_suggestion(std::string(100, 'F')), "");
}

}  // namespace
}  // namespace moecollab::weights
