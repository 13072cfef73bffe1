#include "weights/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>

#include "weights/convert.h"
#include "weights/file_bytes.h"
#include "weights/refusal.h"

namespace moecollab::weights {
namespace {

// The format is little-endian and nothing here swaps bytes.
static_assert(std::endian::native == std::endian::little);

constexpr size_t kLengthBytes = 8;

// The JSON in the file's bytes.
std::string_view header_of(std::string_view bytes, std::string_view file,
                           const ReadLimits& limits) {
  if (bytes.size() < kLengthBytes) {
    refuse(file, "E_ST_HEADER_TOO_SMALL",
           fmt::format("{} bytes are too few for the {} bytes of the header's length", bytes.size(),
                       kLengthBytes));
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > limits.max_header) {
    refuse(file, "E_ST_HEADER_TOO_LARGE",
           fmt::format("its header claims {} bytes, more than the {} allowed", length,
                       limits.max_header));
  }
  if (length > bytes.size() - kLengthBytes) {
    refuse(file, "E_ST_INVALID_HEADER_LENGTH",
           fmt::format("its header claims {} bytes, but only {} follow", length,
                       bytes.size() - kLengthBytes));
  }
  return bytes.substr(kLengthBytes, length);
}

std::string shape_text(const HeaderEntry& entry) {
  const std::vector<uint64_t> shape(entry.shape.begin(), entry.shape.end());
  return fmt::format("[{}]", fmt::join(shape, ","));
}

// The bits that shape and dtype ask for.
uint64_t checked_bits(const HeaderEntry& entry, std::string_view file) {
  uint64_t total = 1;
  bool overflow = false;
  for (const int64_t dimension : entry.shape) {
    overflow |= __builtin_mul_overflow(total, static_cast<uint64_t>(dimension), &total);
  }
  overflow |= __builtin_mul_overflow(total, uint64_t{bits(entry.dtype)}, &total);
  // Beyond the reference: a dimension of 2^63 or more beside a 0 has no place in a signed shape.
  overflow |= std::ranges::any_of(entry.shape, [](int64_t dimension) { return dimension < 0; });
  if (overflow) {
    refuse(file, "E_ST_VALIDATION_OVERFLOW",
           fmt::format("tensor `{}`: the size of shape {} in {} overflows", shown(entry.name),
                       shape_text(entry), name(entry.dtype)));
  }
  return total;
}

void check_size(const HeaderEntry& entry, std::string_view file) {
  const uint64_t bit_count = checked_bits(entry, file);
  if (bit_count % 8 != 0) {
    refuse(file, "E_ST_MISALIGNED_SLICE",
           fmt::format("tensor `{}`: shape {} in {} is {} bits, not a whole number of bytes",
                       shown(entry.name), shape_text(entry), name(entry.dtype), bit_count));
  }
  if (entry.end - entry.begin != bit_count / 8) {
    refuse(file, "E_ST_TENSOR_INVALID_INFO",
           fmt::format("tensor `{}`: shape {} in {} is {} bytes, but its offsets span {}",
                       shown(entry.name), shape_text(entry), name(entry.dtype), bit_count / 8,
                       entry.end - entry.begin));
  }
}

// Refuses overlaps, holes and a buffer of another size than `buffer_size`.
void check_layout(std::vector<HeaderEntry>& entries, uint64_t buffer_size, std::string_view file) {
  std::ranges::sort(entries, {}, [](const HeaderEntry& entry) {
    return std::tie(entry.begin, entry.end, entry.name);
  });
  uint64_t covered = 0;
  for (const HeaderEntry& entry : entries) {
    if (entry.begin != covered || entry.end < entry.begin) {
      refuse(file, "E_ST_INVALID_OFFSET",
             fmt::format("tensor `{}`: offsets [{}, {}], expected to begin at {}",
                         shown(entry.name), entry.begin, entry.end, covered));
    }
    covered = entry.end;
    check_size(entry, file);
  }
  if (covered != buffer_size) {
    refuse(
        file, "E_ST_METADATA_INCOMPLETE_BUFFER",
        fmt::format("its tensors take {} bytes, but {} follow the header", covered, buffer_size));
  }
}

void require_finite(const TensorView& tensor, std::string_view file) {
  const auto index = first_nonfinite(tensor);
  if (!index) return;
  refuse(file, "E_ST_NONFINITE",
         fmt::format("tensor `{}`: element {} of {} is NaN or infinite", shown(tensor.name), *index,
                     tensor.data.size() * 8 / bits(tensor.dtype)),
         "the model that wrote it has diverged or overflowed; train or convert it again");
}

}  // namespace

struct Safetensors::Contents {
  template <typename Source>
  Contents(Source source, std::string file_name, const ReadLimits& limits)
      : bytes(std::move(source)), file(std::move(file_name)) {
    const std::string_view json = header_of(bytes.view(), file, limits);
    header = parse_header(json, file, limits);
    const auto buffer = std::as_bytes(std::span(bytes.view().substr(kLengthBytes + json.size())));
    check_layout(header.tensors, buffer.size(), file);
    std::ranges::sort(header.tensors, {}, &HeaderEntry::name);
    tensors.reserve(header.tensors.size());
    for (HeaderEntry& entry : header.tensors) {
      tensors.push_back({entry.name, entry.dtype, std::move(entry.shape),
                         buffer.subspan(entry.begin, entry.end - entry.begin)});
      if (limits.require_finite) require_finite(tensors.back(), file);
    }
  }

  FileBytes bytes;
  std::string file;
  Header header;  // Holds the names that the views refer to.
  std::vector<TensorView> tensors;
};

Safetensors::Safetensors(std::unique_ptr<const Contents> contents)
    : contents_(std::move(contents)) {}
Safetensors::~Safetensors() = default;
Safetensors::Safetensors(Safetensors&&) noexcept = default;
Safetensors& Safetensors::operator=(Safetensors&&) noexcept = default;

Safetensors Safetensors::open(const std::filesystem::path& path, const ReadLimits& limits) {
  return Safetensors(std::make_unique<const Contents>(path, path.string(), limits));
}

Safetensors Safetensors::from_bytes(std::string bytes, std::string name, const ReadLimits& limits) {
  return Safetensors(std::make_unique<const Contents>(std::move(bytes), std::move(name), limits));
}

const std::vector<TensorView>& Safetensors::tensors() const { return contents_->tensors; }

const TensorView* Safetensors::find(std::string_view name) const {
  const auto& tensors = contents_->tensors;
  const auto at = std::ranges::lower_bound(tensors, name, {}, &TensorView::name);
  return at != tensors.end() && at->name == name ? &*at : nullptr;
}

const std::map<std::string, std::string>& Safetensors::metadata() const {
  return contents_->header.metadata;
}

const std::string& Safetensors::file() const { return contents_->file; }

}  // namespace moecollab::weights
