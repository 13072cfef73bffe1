// Reading safetensors files that nobody vouches for.
//
// A file is: u64 little-endian n | n bytes of JSON | buffer. The checks and their order are those
// of the reference (safetensors/src/tensor.rs, `read_metadata` and `validate`).
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weights/header.h"
#include "weights/tensor.h"

namespace moecollab::weights {

// A checked file in memory. Tensors cover the buffer after the header without gap or overlap.
//
// Refusals, in the order of the checks: E_ST_IO; E_ST_HEADER_TOO_SMALL, E_ST_HEADER_TOO_LARGE,
// E_ST_INVALID_HEADER_LENGTH; those of parse_header (E_ST_DUP among them); then for each tensor, by
// its offsets, E_ST_INVALID_OFFSET, E_ST_VALIDATION_OVERFLOW, E_ST_MISALIGNED_SLICE,
// E_ST_TENSOR_INVALID_INFO; E_ST_METADATA_INCOMPLETE_BUFFER; E_ST_NONFINITE if the limits ask.
//
// Immutable, so that threads may share one. Movable; views stay valid as long as the object that
// they were moved to.
class Safetensors {
 public:
  // Files over 16 MiB are mapped, and must not be written by another process meanwhile.
  static Safetensors open(const std::filesystem::path& path, const ReadLimits& limits = {});
  // `name` stands for the file in messages.
  static Safetensors from_bytes(std::string bytes, std::string name, const ReadLimits& limits = {});

  ~Safetensors();
  Safetensors(Safetensors&&) noexcept;
  Safetensors& operator=(Safetensors&&) noexcept;

  // Sorted by name.
  const std::vector<TensorView>& tensors() const;
  // Null if no tensor has that name.
  const TensorView* find(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const;
  // The path or name that it was read from.
  const std::string& file() const;

 private:
  struct Contents;
  explicit Safetensors(std::unique_ptr<const Contents> contents);

  std::unique_ptr<const Contents> contents_;
};

}  // namespace moecollab::weights
