#include "conformance/reference_blocks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "base/strings.h"
#include "conformance/test_host.h"

namespace moecollab::conformance {
namespace {

constexpr const char* kParts[] = {"attention.self.query",       "attention.self.key",
                                  "attention.self.value",       "attention.output.dense",
                                  "intermediate.dense",         "output.dense",
                                  "attention.output.LayerNorm", "output.LayerNorm"};
constexpr size_t kLanes = 16;

std::atomic<int64_t> passes = 0;

// Lanes of their own, which a compiler turns into vectors.
float product_of(const float* a, const float* b, size_t n) {
  float lanes[kLanes] = {}, sum = 0;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < n; ++i) sum += a[i] * b[i];
  for (const float lane : lanes) sum += lane;
  return sum;
}

double activate(const std::string& kind, double x) {
  if (kind == "relu") return std::max(x, 0.0);
  if (kind == "silu") return x / (1 + std::exp(-x));
  if (kind == "gelu_tanh")
    return x / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
  return x / 2 * (1 + std::erf(x / std::numbers::sqrt2));
}

// The weight of that name, whose values must be plain float32 of that shape.
std::vector<float> copy_of(const std::string& name, const std::vector<int64_t>& expected,
                           uint64_t count, const moec_string* names, const moec_tensor* weights) {
  for (uint64_t i = 0; i < count; ++i) {
    if (std::string_view(names[i].data, names[i].size) != name) continue;
    const moec_tensor& w = weights[i];
    const std::vector<int64_t> shape(w.shape, w.shape + w.ndim);
    if (shape != expected || w.type_code != MOEC_FLOAT || w.type_bits != 32)
      throw std::invalid_argument(fmt::format("{} is [{}], expected float32 [{}]", name,
                                              fmt::join(shape, ", "), fmt::join(expected, ", ")));
    const auto* values = static_cast<const float*>(w.data) + w.byte_offset / sizeof(float);
    int64_t size = 1;
    for (const int64_t extent : shape) size *= extent;
    return {values, values + size};
  }
  throw std::invalid_argument(name + " is missing");
}

// --- the extension's functions

template <typename Call>
moec_status without_exceptions(moec_error* error, const Call& call) {
  try {
    call();
    return MOEC_OK;
  } catch (const std::invalid_argument& e) {
    return refuse(error, MOEC_INVALID_ARGUMENT, e.what());
  } catch (const std::exception& e) {
    return refuse(error, MOEC_INTERNAL, e.what());
  }
}

moec_status pack(const moec_host* host, uint64_t count, uint64_t weight_count,
                 const moec_string* names, const moec_tensor* weights, moec_blocks** blocks,
                 moec_error* error) {
  return without_exceptions(error, [&] {
    *blocks = reinterpret_cast<moec_blocks*>(
        new ReferenceBlocks(config_of(host), count, weight_count, names, weights));
  });
}

moec_status means(const moec_host* host, const moec_blocks* blocks, const moec_tensor* states,
                  const int32_t* row_offsets, uint64_t rows, const moec_tensor* means,
                  moec_error* error) {
  return without_exceptions(error, [&] {
    ++passes;
    const auto hidden = static_cast<size_t>(config_of(host).hidden);
    const auto* from = static_cast<const float*>(states->data);
    auto* to = static_cast<float*>(means->data);
    for (uint64_t r = 0; r < rows; ++r, to += hidden) {
      const int32_t first = row_offsets[r], last = row_offsets[r + 1];
      if (first < 0 || first >= last || last > states->shape[0])
        throw std::invalid_argument(
            fmt::format("text {} owns rows {} to {} of {}", r, first, last, states->shape[0]));
      std::ranges::copy(reinterpret_cast<const ReferenceBlocks*>(blocks)->mean(
                            {from + static_cast<size_t>(first) * hidden,
                             static_cast<size_t>(last - first) * hidden}),
                        to);
    }
  });
}

void release(const moec_host*, moec_blocks* blocks) {
  delete reinterpret_cast<ReferenceBlocks*>(blocks);
}

}  // namespace

std::vector<int64_t> block_weight_shape(const encoder::BertConfig& c, std::string_view name) {
  const auto ends = [&](std::string_view suffix) { return name.ends_with(suffix); };
  if (ends("LayerNorm.weight") || ends("LayerNorm.bias")) return {c.hidden};
  if (ends("intermediate.dense.weight")) return {c.intermediate, c.hidden};
  if (ends("intermediate.dense.bias")) return {c.intermediate};
  if (ends("attention.output.dense.weight")) return {c.hidden, c.hidden};
  if (ends("attention.output.dense.bias")) return {c.hidden};
  if (ends("output.dense.weight")) return {c.hidden, c.intermediate};
  if (ends("output.dense.bias")) return {c.hidden};
  for (const char* part : {"self.query", "self.key", "self.value"}) {
    if (ends(fmt::format("{}.weight", part))) return {c.hidden, c.hidden};
    if (ends(fmt::format("{}.bias", part))) return {c.hidden};
  }
  return {};
}

ReferenceBlocks::ReferenceBlocks(const encoder::BertConfig& config, uint64_t count,
                                 uint64_t weight_count, const moec_string* names,
                                 const moec_tensor* weights)
    : config_(config) {
  for (uint64_t i = 0; i < count; ++i) {
    Block& block = blocks_.emplace_back();
    for (const std::string part : kParts) {
      for (const std::string& name : {part + ".weight", part + ".bias"})
        block[name] = copy_of(fmt::format("{}.{}", i, name), block_weight_shape(config, name),
                              weight_count, names, weights);
    }
  }
}

std::vector<float> ReferenceBlocks::mean(std::span<const float> states) const {
  Values x(states.begin(), states.end());
  for (const Block& block : blocks_) run(block, x);
  const auto hidden = static_cast<size_t>(config_.hidden);
  const size_t tokens = x.size() / hidden;
  Values mean(hidden);
  for (size_t i = 0; i < x.size(); ++i) mean[i % hidden] += x[i] / static_cast<float>(tokens);
  return mean;
}

ReferenceBlocks::Values ReferenceBlocks::linear(const Block& block, const std::string& name,
                                                const Values& x) const {
  const Values &weight = block.at(name + ".weight"), &bias = block.at(name + ".bias");
  const size_t out = bias.size(), in = weight.size() / out, rows = x.size() / in;
  Values y(rows * out);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t o = 0; o < out; ++o)
      y[row * out + o] = bias[o] + product_of(&x[row * in], &weight[o * in], in);
  }
  return y;
}

// x = LayerNorm(x + change), per row.
void ReferenceBlocks::add_and_normalise(const Block& block, const std::string& name,
                                        const Values& change, Values& x) const {
  const Values &weight = block.at(name + ".weight"), &bias = block.at(name + ".bias");
  const size_t hidden = bias.size();
  for (size_t first = 0; first < x.size(); first += hidden) {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < hidden; ++i) mean += x[first + i] += change[first + i];
    mean /= static_cast<double>(hidden);
    for (size_t i = 0; i < hidden; ++i) variance += (x[first + i] - mean) * (x[first + i] - mean);
    const double scale = 1 / std::sqrt(variance / static_cast<double>(hidden) + config_.ln_eps);
    for (size_t i = 0; i < hidden; ++i)
      x[first + i] = static_cast<float>((x[first + i] - mean) * scale * weight[i] + bias[i]);
  }
}

// softmax(q·kᵀ / √(H / heads))·v per head.
ReferenceBlocks::Values ReferenceBlocks::attend(const Block& block, const Values& x) const {
  const Values q = linear(block, "attention.self.query", x),
               k = linear(block, "attention.self.key", x),
               v = linear(block, "attention.self.value", x);
  const auto hidden = static_cast<size_t>(config_.hidden);
  const size_t tokens = x.size() / hidden, width = hidden / static_cast<size_t>(config_.heads);
  Values y(x.size());
  std::vector<double> share(tokens);
  for (size_t from = 0; from < hidden; from += width) {
    for (size_t t = 0; t < tokens; ++t) {
      for (size_t s = 0; s < tokens; ++s)
        share[s] = product_of(&q[t * hidden + from], &k[s * hidden + from], width) /
                   std::sqrt(static_cast<double>(width));
      const double most = std::ranges::max(share);
      double sum = 0;
      for (double& value : share) sum += value = std::exp(value - most);
      for (size_t s = 0; s < tokens; ++s) {
        for (size_t i = from; i < from + width; ++i)
          y[t * hidden + i] += static_cast<float>(share[s] / sum * v[s * hidden + i]);
      }
    }
  }
  return y;
}

void ReferenceBlocks::run(const Block& block, Values& x) const {
  add_and_normalise(block, "attention.output.LayerNorm",
                    linear(block, "attention.output.dense", attend(block, x)), x);
  Values inner = linear(block, "intermediate.dense", x);
  for (float& value : inner) value = static_cast<float>(activate(config_.activation, value));
  add_and_normalise(block, "output.LayerNorm", linear(block, "output.dense", inner), x);
}

const moec_ext_blocks& reference_blocks() {
  static constexpr moec_ext_blocks kBlocks = {sizeof(moec_ext_blocks), &pack, &means, &release};
  return kBlocks;
}

int64_t reference_passes() { return passes; }

}  // namespace moecollab::conformance
