#include "weights/writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "base/files.h"
#include "base/json.h"
#include "base/strings.h"
#include "weights/header.h"
#include "weights/refusal.h"

namespace moecollab::weights {
namespace {

std::string quoted(const std::string& text) {
  if (!is_utf8(text)) {
    throw std::logic_error(fmt::format("write_safetensors: \"{}\" is not UTF-8", shown(text)));
  }
  return to_line(Json(text));
}

// The bytes that shape and dtype ask for; nothing if the shape is no shape.
std::optional<uint64_t> size_of(const TensorSource& tensor) {
  uint64_t total = bits(tensor.dtype);
  for (const int64_t dimension : tensor.shape) {
    if (dimension < 0) return std::nullopt;
    if (__builtin_mul_overflow(total, static_cast<uint64_t>(dimension), &total)) {
      return std::nullopt;
    }
  }
  return total % 8 == 0 ? std::optional(total / 8) : std::nullopt;
}

void check(const TensorSource& tensor) {
  if (tensor.name == kMetadataKey) {
    throw std::logic_error(
        fmt::format("write_safetensors: no tensor may be named {}", kMetadataKey));
  }
  if (size_of(tensor) != tensor.data.size()) {
    throw std::logic_error(fmt::format(
        "write_safetensors: tensor `{}` has {} bytes, but its shape is [{}] in {}",
        shown(tensor.name), tensor.data.size(), fmt::join(tensor.shape, ","), name(tensor.dtype)));
  }
}

// The tensors in the order of the file.
std::vector<const TensorSource*> in_file_order(std::span<const TensorSource> tensors) {
  std::vector<const TensorSource*> order;
  for (const TensorSource& tensor : tensors) order.push_back(&tensor);
  std::ranges::sort(order, {}, [](const TensorSource* tensor) { return tensor->name; });
  const auto same_name = [](const auto* a, const auto* b) { return a->name == b->name; };
  const auto twice = std::ranges::adjacent_find(order, same_name);
  if (twice != order.end()) {
    throw std::logic_error(
        fmt::format("write_safetensors: tensor `{}` stands twice", shown((*twice)->name)));
  }
  std::ranges::stable_sort(order, std::greater(), [](const auto* tensor) { return tensor->dtype; });
  return order;
}

std::string metadata_text(const std::map<std::string, std::string>& metadata) {
  std::vector<std::string> entries;
  for (const auto& [key, value] : metadata) entries.push_back(quoted(key) + ":" + quoted(value));
  return fmt::format("\"{}\":{{{}}}", kMetadataKey, join(entries, ","));
}

std::string header_text(std::span<const TensorSource* const> order,
                        const std::map<std::string, std::string>& metadata) {
  std::vector<std::string> entries;
  if (!metadata.empty()) entries.push_back(metadata_text(metadata));
  uint64_t offset = 0;
  for (const TensorSource* tensor : order) {
    check(*tensor);
    const uint64_t end = offset + tensor->data.size();
    entries.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                  quoted(tensor->name), name(tensor->dtype),
                                  fmt::join(tensor->shape, ","), offset, end));
    offset = end;
  }
  std::string text = fmt::format("{{{}}}", join(entries, ","));
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

std::string_view as_text(std::span<const std::byte> data) {
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}

// The header and its length, which stand before the tensors.
std::string start_of_file(const std::string& file, std::span<const TensorSource* const> order,
                          const std::map<std::string, std::string>& metadata) {
  const std::string header = header_text(order, metadata);
  const uint64_t length = header.size();
  if (length > ReadLimits{}.max_header) {
    refuse(file, "E_ST_HEADER_TOO_LARGE",
           fmt::format("its header would have {} bytes, more than the {} that readers accept",
                       length, ReadLimits{}.max_header),
           "write fewer tensors, shorter names or less metadata into one file");
  }
  return fmt::format("{}{}", as_text(std::as_bytes(std::span(&length, 1))), header);
}

}  // namespace

TensorSource f32_source(std::string name, std::vector<int64_t> shape,
                        std::span<const float> values) {
  return {std::move(name), DType::kF32, std::move(shape), std::as_bytes(values)};
}

void write_safetensors(const std::filesystem::path& path, std::span<const TensorSource> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::vector<const TensorSource*> order = in_file_order(tensors);
  const std::string start = start_of_file(path.string(), order, metadata);
  std::vector<std::string_view> parts{start};
  for (const TensorSource* tensor : order) parts.push_back(as_text(tensor->data));
  write_file_atomic(path, parts);
}

std::string safetensors_bytes(const std::string& name, std::span<const TensorSource> tensors,
                              const std::map<std::string, std::string>& metadata) {
  const std::vector<const TensorSource*> order = in_file_order(tensors);
  std::string bytes = start_of_file(name, order, metadata);
  for (const TensorSource* tensor : order) bytes += as_text(tensor->data);
  return bytes;
}

}  // namespace moecollab::weights
