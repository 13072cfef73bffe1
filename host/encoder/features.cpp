#include "encoder/features.h"

#include <algorithm>

namespace moecollab::encoder {

void FeatureRequest::merge(const FeatureRequest& other) {
  // Whoever reads states in float32 decides.
  if (!other.hidden.empty()) bf16_states = other.bf16_states && (bf16_states || hidden.empty());
  pooled.insert(other.pooled.begin(), other.pooled.end());
  hidden.insert(other.hidden.begin(), other.hidden.end());
  tokens = tokens || other.tokens;
  if (other.stop_at) stop_at = other.stop_at;
}

int FeatureRequest::depth() const {
  int deepest = hidden.empty() ? 0 : *hidden.rbegin();
  for (const PooledKey& key : pooled) deepest = std::max(deepest, key.layer);
  return std::max(deepest, stop_at.value_or(0));
}

FeatureRequest FeatureRequest::up_to(int layer) const {
  FeatureRequest part = *this;
  std::erase_if(part.pooled, [&](const PooledKey& key) { return key.layer > layer; });
  std::erase_if(part.hidden, [&](int l) { return l > layer; });
  if (stop_at > layer) part.stop_at.reset();
  return part;
}

bool Features::holds(const FeatureRequest& request) const {
  const auto has = [](const auto& held) {
    return [&](const auto& key) { return held.contains(key); };
  };
  return std::ranges::all_of(request.pooled, has(pooled)) &&
         std::ranges::all_of(request.hidden, has(hidden)) &&
         (!request.tokens || token_ids.defined());
}

Features Features::part(const FeatureRequest& request) const {
  Features out;
  out.texts = texts;
  out.row_ids = row_ids;
  for (const auto& [key, tensor] : pooled)
    if (request.pooled.contains(key)) out.pooled[key] = tensor;
  for (const auto& [layer, tensor] : hidden)
    if (request.hidden.contains(layer)) out.hidden[layer] = tensor;
  if (request.tokens) out.token_ids = token_ids;
  if (!out.hidden.empty() || out.token_ids.defined()) out.row_offsets = row_offsets;
  return out;
}

at::Tensor index_tensor(std::span<const int64_t> indices, at::Device device) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(indices.size())}, at::kLong);
  std::copy(indices.begin(), indices.end(), tensor.mutable_data_ptr<int64_t>());
  return tensor.to(device);
}

std::vector<double> to_doubles(const at::Tensor& tensor) {
  const at::Tensor doubles = tensor.to(kHost).to(at::kDouble).contiguous();
  const double* data = doubles.const_data_ptr<double>();
  return {data, data + doubles.numel()};
}

std::vector<int> to_ints(const at::Tensor& tensor) {
  const at::Tensor ints = tensor.to(kHost).to(at::kInt).contiguous();
  const int32_t* data = ints.const_data_ptr<int32_t>();
  return {data, data + ints.numel()};
}

Features Features::select(std::span<const int64_t> rows) const {
  Features out;
  for (const int64_t row : rows) {
    out.texts.push_back(texts[static_cast<size_t>(row)]);
    out.row_ids.push_back(row_ids[static_cast<size_t>(row)]);
  }
  const at::Tensor index = index_tensor(rows);
  for (const auto& [key, tensor] : pooled) out.pooled[key] = tensor.index_select(0, index);
  if (row_offsets.empty()) return out;

  std::vector<int64_t> tokens;
  out.row_offsets.push_back(0);
  for (const int64_t row : rows) {
    const auto r = static_cast<size_t>(row);
    for (int32_t t = row_offsets[r]; t < row_offsets[r + 1]; ++t) tokens.push_back(t);
    out.row_offsets.push_back(static_cast<int32_t>(tokens.size()));
  }
  const at::Tensor token_index = index_tensor(tokens);
  if (token_ids.defined()) out.token_ids = token_ids.index_select(0, token_index);
  for (const auto& [layer, tensor] : hidden)
    out.hidden[layer] = tensor.index_select(0, token_index).to(at::kFloat);
  return out;
}

Features Features::slice(int64_t first, int64_t count) const {
  Features out;
  out.texts.assign(texts.begin() + first, texts.begin() + first + count);
  out.row_ids.assign(row_ids.begin() + first, row_ids.begin() + first + count);
  for (const auto& [key, tensor] : pooled) out.pooled[key] = tensor.narrow(0, first, count);
  if (row_offsets.empty()) return out;
  const auto begin = row_offsets.begin() + first;
  const int32_t token = *begin, tokens = *(begin + count) - token;
  for (auto it = begin; it <= begin + count; ++it) out.row_offsets.push_back(*it - token);
  if (token_ids.defined()) out.token_ids = token_ids.narrow(0, token, tokens);
  for (const auto& [layer, tensor] : hidden)
    out.hidden[layer] = tensor.narrow(0, token, tokens).to(at::kFloat);
  return out;
}

}  // namespace moecollab::encoder
