// Writing safetensors files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "weights/dtype.h"

namespace moecollab::weights {

// A tensor to be written. `data` is borrowed until the writer returns: row-major, little-endian.
struct TensorSource {
  std::string name;
  DType dtype{};
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
};

// An F32 tensor over `values`, which it borrows.
TensorSource f32_source(std::string name, std::vector<int64_t> shape,
                        std::span<const float> values);

// Replaces `path` atomically (E_WRITE) by a file with these tensors, in any order. The bytes are
// those of the reference's `safetensors.numpy.save`: tensors by descending dtype, then name; header
// padded with spaces to a multiple of 8. Metadata comes in the order of its keys (the reference's
// order is random), and none at all if it is empty.
//
// A name that stands twice, is not UTF-8 or is `__metadata__`, metadata that is not UTF-8, and data
// of another size than the shape asks for are std::logic_error. E_ST_HEADER_TOO_LARGE if the header
// is over 100 MB, more than readers accept.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorSource> tensors,
                       const std::map<std::string, std::string>& metadata = {});

// The bytes of that file, in memory. `name` stands for it in messages. Throws as
// write_safetensors(), but for E_WRITE.
std::string safetensors_bytes(const std::string& name, std::span<const TensorSource> tensors,
                              const std::map<std::string, std::string>& metadata = {});

}  // namespace moecollab::weights
