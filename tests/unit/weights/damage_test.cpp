// Damaged copies of a valid file: refused, or read with every view inside the buffer.
#include "unit/weights/helpers.h"

namespace moecollab::weights {
namespace {

std::string valid_file() {
  return file_of(
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"F16","shape":[],"data_offsets":[8,10]},)"
      R"("c":{"dtype":"F4","shape":[4,0],"data_offsets":[10,10]},)"
      R"("d":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[10,13]}}  )",
      13);
}

enum class Outcome { kRefused, kRead };

// Reads `bytes`; touches every byte of every view, so that a sanitizer sees a stray one.
Outcome outcome(const std::string& bytes) {
  try {
    const Safetensors file = read(bytes);
    size_t total = 0;
    unsigned sum = 0;
    for (const TensorView& tensor : file.tensors()) {
      uint64_t elements = 1;
      for (const int64_t dimension : tensor.shape) elements *= static_cast<uint64_t>(dimension);
      EXPECT_EQ(elements * bits(tensor.dtype), tensor.data.size() * 8);
      for (const std::byte b : tensor.data) sum += std::to_integer<unsigned>(b);
      EXPECT_EQ(file.find(tensor.name), &tensor);
      total += tensor.data.size();
    }
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    EXPECT_EQ(8 + header + total, bytes.size());
    EXPECT_LE(sum, 255 * total);
    return Outcome::kRead;
  } catch (const Error& error) {
    EXPECT_TRUE(error.code().starts_with("E_ST_")) << error.code();
    return Outcome::kRefused;
  }
}

TEST(Damage, TheUndamagedFileIsRead) { EXPECT_EQ(outcome(valid_file()), Outcome::kRead); }

TEST(Damage, EveryTruncationIsRefused) {
  const std::string bytes = valid_file();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(outcome(bytes.substr(0, size)), Outcome::kRefused) << size;
  }
}

TEST(Damage, EveryByteInsertedOrRemovedIsHandled) {
  const std::string bytes = valid_file();
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string shorter = bytes;
    shorter.erase(i, 1);
    EXPECT_EQ(outcome(shorter), Outcome::kRefused) << i;
    std::string longer = bytes;
    longer.insert(i, 1, '9');
    outcome(longer);
  }
}

TEST(Damage, EveryChangedByteIsRefusedOrRead) {
  const std::string bytes = valid_file();
  size_t refused = 0;
  size_t tried = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const unsigned flipped : {1, 2, 4, 8, 16, 32, 64, 128, 255, 5}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ flipped);
      ++tried;
      refused += outcome(damaged) == Outcome::kRefused ? 1 : 0;
    }
  }
  // Names, metadata and elements may change unseen; lengths, structure, shapes and offsets may not.
  EXPECT_GT(refused, tried * 3 / 4);
  EXPECT_LT(refused, tried);
}

TEST(Damage, EveryLengthFieldIsHandled) {
  const std::string bytes = valid_file();
  for (uint64_t length = 0; length < 2 * bytes.size(); ++length) {
    const Outcome expected = length == bytes.size() - 13 - 8 ? Outcome::kRead : Outcome::kRefused;
    EXPECT_EQ(outcome(with_length(length, bytes.substr(8))), expected) << length;
  }
}

}  // namespace
}  // namespace moecollab::weights
