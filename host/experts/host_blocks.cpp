#include "experts/host_blocks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include "base/strings.h"
#include "experts/abi_views.h"
#include "experts/host_services.h"

struct moec_blocks {
  std::unique_ptr<moecollab::encoder::Fork> fork;
};

namespace moecollab::experts {
namespace {

using Shape = std::vector<int64_t>;

// Whether the values lie on the CPU, or on that device, as float32, row after row.
bool is_plain(const moec_tensor& tensor, at::Device device = encoder::kHost) {
  int64_t stride = 1;
  for (int32_t i = tensor.ndim - 1; i >= 0; stride *= tensor.shape[i--]) {
    if (tensor.strides != nullptr && tensor.shape[i] > 1 && tensor.strides[i] != stride)
      return false;
  }
  const bool there =
      tensor.device_type == device_code(device) && tensor.device_id == device.index();
  return (tensor.device_type == MOEC_CPU || there) && tensor.type_code == MOEC_FLOAT &&
         tensor.type_bits == 32 && tensor.byte_offset == 0;
}

at::Tensor tensor_over(const moec_tensor& view, at::Device device) {
  const at::Device own = view.device_type == MOEC_CPU ? at::Device(encoder::kHost) : device;
  return at::for_blob(view.data, at::IntArrayRef(view.shape, static_cast<size_t>(view.ndim)))
      .options(at::TensorOptions(at::kFloat).device(own))
      .target_device(own)
      .make_tensor();
}

// The shape of a block's weight, by its name within the block.
Shape shape_of(const std::string& name, const encoder::BertConfig& c) {
  const bool matrix = name.ends_with(".weight") && name.find("LayerNorm") == std::string::npos;
  const int64_t out = name.starts_with("intermediate.") ? c.intermediate : c.hidden;
  if (!matrix) return {out};
  return {out, name.starts_with("output.") ? c.intermediate : c.hidden};
}

class Weights {
 public:
  Weights(uint64_t count, const moec_string* names, const moec_tensor* weights) {
    for (uint64_t i = 0; i < count; ++i)
      weights_.emplace(std::string(names[i].data, names[i].size), weights[i]);
  }

  // Throws std::invalid_argument.
  at::Tensor get(int64_t block, const std::string& name, const encoder::BertConfig& config) const {
    const std::string full = fmt::format("{}.{}", block, name);
    const auto found = weights_.find(full);
    if (found == weights_.end()) throw std::invalid_argument(full + " is missing");
    const moec_tensor& view = found->second;
    const Shape expected = shape_of(name, config);
    const Shape shape(view.shape, view.shape + view.ndim);
    if (!is_plain(view) || shape != expected) {
      throw std::invalid_argument(fmt::format("{} is [{}], expected plain float32 [{}]", full,
                                              fmt::join(shape, ", "), fmt::join(expected, ", ")));
    }
    return at::from_blob(view.data, shape, at::kFloat);
  }

 private:
  std::map<std::string, moec_tensor> weights_;
};

moec_status pack(const moec_host* host, uint64_t count, uint64_t weight_count,
                 const moec_string* names, const moec_tensor* weights, moec_blocks** blocks,
                 moec_error* error) {
  return guarded(error, [&] {
    const HostServices& own = services(host);
    const encoder::BertConfig& config = own.encoder()->config();
    const Weights given(weight_count, names, weights);
    const auto weight = [&](int64_t block, const std::string& name) {
      return given.get(block, name, config);
    };
    *blocks = new moec_blocks{own.encoder()->fork(static_cast<int64_t>(count), weight)};
  });
}

void require_shape(const char* what, const moec_tensor& tensor, at::Device device, int64_t rows,
                   int64_t columns) {
  const bool fits = is_plain(tensor, device) && tensor.ndim == 2 && tensor.shape[0] >= rows &&
                    tensor.shape[1] == columns;
  if (fits) return;
  throw std::invalid_argument(
      fmt::format("{} is not plain float32 of {} rows of {}", what, rows, columns));
}

moec_status means(const moec_host* host, const moec_blocks* blocks, const moec_tensor* states,
                  const int32_t* row_offsets, uint64_t rows, const moec_tensor* means,
                  moec_error* error) {
  return guarded(error, [&] {
    if (rows == 0) return;
    const encoder::Encoder& encoder = *services(host).encoder();
    const int64_t hidden = encoder.config().hidden;
    const std::span offsets(row_offsets, rows + 1);
    for (uint64_t r = 0; r < rows; ++r) {
      if (offsets[r] < 0 || offsets[r] >= offsets[r + 1])
        throw std::invalid_argument(
            fmt::format("text {} owns rows {} to {}: one at least", r, offsets[r], offsets[r + 1]));
    }
    const at::Device device = encoder::to_torch(encoder.device());
    require_shape("states", *states, device, offsets.back(), hidden);
    require_shape("means", *means, device, static_cast<int64_t>(rows), hidden);
    at::Tensor out = tensor_over(*means, device);
    blocks->fork->means(tensor_over(*states, device), offsets, out);
  });
}

void release(const moec_host*, moec_blocks* blocks) { delete blocks; }

}  // namespace

const moec_ext_blocks& host_blocks() {
  static constexpr moec_ext_blocks kBlocks = {sizeof(moec_ext_blocks), &pack, &means, &release};
  return kBlocks;
}

}  // namespace moecollab::experts
