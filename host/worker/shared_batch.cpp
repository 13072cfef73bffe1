#include "worker/shared_batch.h"

#include <fmt/format.h>
#include <moecollab/abi.h>

#include <algorithm>

#include "base/error.h"

namespace moecollab::worker {
namespace {

void set_shape(WireTensor& wire, at::IntArrayRef shape) {
  if (shape.size() > kMostDimensions) {
    throw Error("E_DESC_MISMATCH",
                fmt::format("a tensor has {} dimensions, and one of an expert in a process of its "
                            "own has {} at most",
                            shape.size(), kMostDimensions));
  }
  wire.ndim = static_cast<int32_t>(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0; stride *= shape[i]) {
    wire.shape[i] = shape[i];
    wire.strides[i] = stride;
  }
}

}  // namespace

uint64_t Lent::texts(const std::vector<std::string>& texts) {
  std::vector<WireText> all;
  for (const std::string& one : texts) all.push_back(text(one));
  return array(all);
}

WireTensor Lent::tensor(const at::Tensor& tensor) {
  Block& block = blocks_.emplace_back(in_, bytes_of(tensor.sizes()));
  const bool integers = tensor.scalar_type() == at::kInt;
  at::from_blob(block.data(), tensor.sizes(), integers ? at::kInt : at::kFloat).copy_(tensor);
  WireTensor wire;
  wire.offset = block.offset();
  wire.type_code = integers ? MOEC_INT : MOEC_FLOAT;
  set_shape(wire, tensor.sizes());
  return wire;
}

WireBatch Lent::batch(const encoder::Features& rows, const encoder::FeatureRequest& request,
                      bool texts) {
  WireBatch wire;
  wire.rows = rows.rows();
  wire.row_ids = array(rows.row_ids);
  if (texts) {
    // One block for all of them.
    std::string bytes;
    for (const std::string_view one : rows.texts) bytes += one;
    uint64_t place = array(bytes.data(), bytes.size());
    std::vector<WireText> all;
    for (const std::string_view one : rows.texts) {
      all.push_back({place, one.size()});
      place += one.size();
    }
    wire.texts = array(all);
  }
  if (request.tokens || !request.hidden.empty())
    wire.row_offsets = array(rows.row_offsets.data(), rows.row_offsets.size());
  std::vector<WireTensor> tokens, hidden, pooled;
  if (request.tokens) tokens.push_back(tensor(rows.token_ids));
  for (const int layer : request.hidden) hidden.push_back(tensor(rows.hidden.at(layer)));
  for (const encoder::PooledKey& key : request.pooled)
    pooled.push_back(tensor(rows.pooled.at(key)));
  wire.layers = std::max(hidden.size(), pooled.size());
  if (!tokens.empty()) wire.tokens = array(tokens);
  if (!hidden.empty()) wire.hidden = array(hidden);
  if (!pooled.empty()) wire.pooled = array(pooled);
  return wire;
}

uint64_t bytes_of(at::IntArrayRef shape) {
  return static_cast<uint64_t>(c10::multiply_integers(shape)) * sizeof(float);
}

WireTensor wire_of(const Block& block, at::IntArrayRef shape) {
  WireTensor wire;
  wire.offset = block.offset();
  wire.in_out = 1;
  wire.type_code = MOEC_FLOAT;
  set_shape(wire, shape);
  return wire;
}

at::Tensor mapped(const Block& block, at::IntArrayRef shape) {
  return at::from_blob(block.data(), shape, at::kFloat);
}

}  // namespace moecollab::worker
