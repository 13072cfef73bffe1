// The JSON header of a safetensors file, before its offsets are checked against the buffer.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "weights/dtype.h"

namespace moecollab::weights {

// The JSON key of the text metadata, which no tensor may have as its name.
inline constexpr std::string_view kMetadataKey = "__metadata__";

struct ReadLimits {
  // Bytes of the JSON header; the format's own limit.
  uint64_t max_header = 100'000'000;
  // Tensors in the file, and likewise entries of its metadata.
  size_t max_tensors = 100'000;
  // Refuse NaN and infinities in elements of any floating type (E_ST_NONFINITE).
  bool require_finite = false;
};

// What the header says of one tensor.
struct HeaderEntry {
  std::string name;
  DType dtype{};
  // Every dimension is an unsigned 64-bit number of the file, kept by its bits.
  std::vector<int64_t> shape;
  // Byte offsets into the buffer after the header: data_offsets = [begin, end].
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct Header {
  std::vector<HeaderEntry> tensors;  // In the order of the file; no name twice.
  std::map<std::string, std::string> metadata;
};

// Reads the header of the file named `file`. Takes at most 4 × `json.size()` + 32 MiB of
// memory. Refusals: E_ST_INVALID_HEADER (not UTF-8), E_ST_INVALID_HEADER_DESERIALIZATION (not the
// JSON that the format asks for), E_ST_DUP, E_ST_HEADER_TOO_LARGE (a limit). Stricter than the
// reference: no key twice, nesting of at most 8 levels, shapes of at most 64 dimensions, tensors
// and metadata as JSON objects only, and the limits of screen_header (but any padding at the end).
Header parse_header(std::string_view json, std::string_view file, const ReadLimits& limits);

}  // namespace moecollab::weights
