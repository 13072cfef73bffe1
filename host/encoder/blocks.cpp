#include "encoder/blocks.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/native/CPUBlas.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "encoder/pass_buffers.h"
#include "text/batching.h"

namespace moecollab::encoder {
namespace {

constexpr int64_t kRowGroup = 4;  // the last tile's rows are a multiple: few shapes of product

int64_t packed_bytes_of_block(const BertConfig& c, Precision precision) {
  int64_t bytes = 0;
  for (const auto& [out, in] : {std::pair(3 * c.hidden, c.hidden),
                                {c.hidden, c.hidden},
                                {c.intermediate, c.hidden},
                                {c.hidden, c.intermediate}})
    bytes += Arena::piece(Product::bytes(out, in, precision));
  return bytes;
}

float* floats(const Operand& rows, int64_t row, int64_t column) {
  return static_cast<float*>(rows.at(row, column));
}

// A member's part of the tiles of the product of the first `rows` rows, each to `use`(first row,
// first column, tile). All rows pass a tile of weights before the next, so that the weights come
// from memory once.
template <typename Use>
void for_each_tile(const Product& product, const Operand& x, int64_t rows, float* values,
                   const TeamMember& member, Use use) {
  const int64_t stacked = whole_tiles(rows) / kTile;
  const auto [begin, end] = member.part(product.tiles() * stacked);
  for (int64_t tile = begin; tile < end; ++tile) {
    const int64_t column = tile / stacked, row = tile % stacked * kTile;
    const int64_t real = std::min(kTile, rows - row);
    product.multiply(x, row, column, {values, rounded_up(real, kRowGroup)});
    use(row, column * kTile, Tile{values, real});
  }
  member.finish_step();
}

// A member's part of the rows of x, as a product reads them.
void convert(const Kernels& kernels, const Operand& x, int64_t rows, int64_t width,
             const Operand& out, const TeamMember& member) {
  const auto [begin, end] = member.part(rows);
  kernels.convert(floats(x, begin, 0), x.stride, end - begin, width, out.from(begin));
  member.finish_step();
}

}  // namespace

SpareBuffers::SpareBuffers() = default;
SpareBuffers::~SpareBuffers() = default;

SpareBuffers::Lease::Lease(SpareBuffers& spare) : spare_(spare) {
  const std::lock_guard lock(spare_.mutex_);
  if (spare_.buffers_.empty()) {
    buffers_ = std::make_unique<PassBuffers>();
  } else {
    buffers_ = std::move(spare_.buffers_.back());
    spare_.buffers_.pop_back();
  }
}

SpareBuffers::Lease::~Lease() {
  at::native::cpublas::brgemm_release();
  const std::lock_guard lock(spare_.mutex_);
  spare_.buffers_.push_back(std::move(buffers_));
}

Blocks::Blocks(const BertConfig& config, int64_t count, const WeightOf& weight, Precision precision,
               const Kernels& kernels)
    : config_(config),
      precision_(precision),
      kernels_(kernels),
      activation_(parse_activation(config_.activation).value()),
      packed_(count * packed_bytes_of_block(config_, precision)) {
  const at::NoGradGuard no_grad;
  for (int64_t i = 0; i < count; ++i) {
    const auto norm = [&](const std::string& name) {
      return Norm{weight(i, name + ".weight").clone(), weight(i, name + ".bias").clone()};
    };
    const auto product = [&](const std::string& name) {
      return Product(weight(i, name + ".weight"), weight(i, name + ".bias"), precision, kernels,
                     packed_);
    };
    const auto joined = [&](const std::string& kind) {
      return at::cat({weight(i, "attention.self.query." + kind),
                      weight(i, "attention.self.key." + kind),
                      weight(i, "attention.self.value." + kind)});
    };
    blocks_.push_back(
        {.qkv = Product(joined("weight"), joined("bias"), precision, kernels, packed_),
         .attention_out = product("attention.output.dense"),
         .up = product("intermediate.dense"),
         .down = product("output.dense"),
         .attention_norm = norm("attention.output.LayerNorm"),
         .output_norm = norm("output.LayerNorm")});
  }
}

int64_t Blocks::useful_threads(std::span<const int32_t> lengths, int64_t threads) const {
  const int64_t tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  const int64_t tiles = whole_tiles(tokens) / kTile * (whole_tiles(config_.hidden) / kTile);
  return std::clamp<int64_t>(threads, 1, tiles);
}

void Blocks::run(int64_t first, int64_t end, std::span<const int32_t> lengths,
                 PassBuffers& b) const {
  if (first >= end) return;
  in_team(std::ssize(b.scratch), [&](const TeamMember& member) {
    for (int64_t i = first; i < end; ++i)
      run(blocks_.at(static_cast<size_t>(i)), lengths, b, member);
    if (member.rank() > 0) at::native::cpublas::brgemm_release();
  });
}

void Blocks::begin(std::span<const float* const> states, std::span<const int32_t> lengths,
                   int64_t threads, PassBuffers& b) const {
  const int64_t hidden = config_.hidden;
  b.prepare(config_, numbers_of(precision_), lengths, useful_threads(lengths, threads));
  float* x = floats(b.x, 0, 0);
  for (size_t i = 0; i < states.size(); ++i) {
    const float* from = states[i];
    for (int32_t t = 0; t < lengths[i]; ++t, from += hidden, x += b.x.stride)
      std::copy_n(from, hidden, x);
  }
  kernels_.convert(floats(b.x, 0, 0), b.x.stride, b.tokens, hidden, b.x_operand);
}

void Blocks::means(const float* states, std::span<const int32_t> row_offsets, int64_t batch_tokens,
                   SpareBuffers& spare, float* out) const {
  std::vector<int32_t> lengths(row_offsets.size() - 1);
  for (size_t i = 0; i < lengths.size(); ++i) lengths[i] = row_offsets[i + 1] - row_offsets[i];
  const int64_t threads = at::get_num_threads();
  const auto batches =
      text::plan_even_batches(lengths, {.shares = threads, .least = kTile, .most = batch_tokens});
  for_each_batch(std::ssize(batches), [&](int64_t i, int64_t sharing) {
    mean_of_batch(states, row_offsets, batches[static_cast<size_t>(i)], sharing, spare, out);
  });
}

void Blocks::mean_of_batch(const float* states, std::span<const int32_t> row_offsets,
                           std::span<const int64_t> rows, int64_t threads, SpareBuffers& spare,
                           float* out) const {
  const int64_t hidden = config_.hidden;
  std::vector<int32_t> lengths;
  std::vector<const float*> first;
  for (const int64_t row : rows) {
    const int32_t* offset = row_offsets.data() + row;
    lengths.push_back(offset[1] - offset[0]);
    first.push_back(states + offset[0] * hidden);
  }
  const SpareBuffers::Lease lease(spare);
  PassBuffers& b = *lease;
  begin(first, lengths, threads, b);
  run(0, count(), lengths, b);
  const float* state = floats(b.x, 0, 0);
  for (size_t i = 0; i < rows.size(); ++i, state += lengths[i - 1] * b.x.stride)
    kernels_.mean(state, b.x.stride, lengths[i], hidden, out + rows[i] * hidden);
}

void Blocks::normalise(const Norm& norm, PassBuffers& b, const TeamMember& member) const {
  const auto [begin, end] = member.part(b.tokens);
  kernels_.layer_norm(floats(b.x, begin, 0), b.x.stride, end - begin, config_.hidden,
                      norm.weight.const_data_ptr<float>(), norm.bias.const_data_ptr<float>(),
                      static_cast<float>(config_.ln_eps), b.x_operand.from(begin));
  member.finish_step();
}

void Blocks::run(const Block& block, std::span<const int32_t> lengths, PassBuffers& b,
                 const TeamMember& member) const {
  float* tile_values = b.scratch[static_cast<size_t>(member.rank())].tile;
  for_each_tile(block.qkv, b.x_operand, b.tokens, tile_values, member,
                [&](int64_t row, int64_t column, const Tile& tile) {
                  kernels_.activate(Activation::kNone, tile, block.qkv.bias() + column,
                                    b.qkv.numbers, b.qkv.at(row, column), b.qkv.stride);
                });
  attend(lengths, b, member);
  for_each_tile(block.attention_out, b.context_operand, b.tokens, tile_values, member,
                [&](int64_t row, int64_t column, const Tile& tile) {
                  kernels_.add_residual(tile, block.attention_out.bias() + column,
                                        floats(b.x, row, column), b.x.stride);
                });
  normalise(block.attention_norm, b, member);
  feed_forward(block, b, member);
}

void Blocks::attend(std::span<const int32_t> lengths, PassBuffers& b,
                    const TeamMember& member) const {
  const int64_t hidden = config_.hidden, heads = config_.heads, width = hidden / heads;
  const bool bf16 = b.qkv.numbers == Numbers::kBf16;
  float* scratch = b.scratch[static_cast<size_t>(member.rank())].attention;
  const auto [begin, end] = member.part(std::ssize(lengths) * heads);
  int64_t token = 0, pair = 0;  // of a sequence and a head
  for (const int64_t length : lengths) {
    for (int64_t head = 0; head < heads; ++head, ++pair) {
      if (pair < begin || pair >= end) continue;
      const auto at = [&](int64_t part) { return b.qkv.at(token, part * hidden + head * width); };
      if (bf16) {
        kernels_.attention_bf16(static_cast<uint16_t*>(at(0)), static_cast<uint16_t*>(at(1)),
                                static_cast<uint16_t*>(at(2)), b.qkv.stride, length, width,
                                static_cast<uint16_t*>(b.context_operand.at(token, head * width)),
                                b.context_operand.stride, scratch);
      } else {
        kernels_.attention(static_cast<float*>(at(0)), static_cast<float*>(at(1)),
                           static_cast<float*>(at(2)), b.qkv.stride, length, width,
                           floats(b.context, token, head * width), b.context.stride, scratch);
      }
    }
    token += length;
  }
  member.finish_step();
  if (b.context_operand.numbers != b.context.numbers && !bf16)
    convert(kernels_, b.context, b.tokens, hidden, b.context_operand, member);
}

void Blocks::feed_forward(const Block& block, PassBuffers& b, const TeamMember& member) const {
  const Operand& inner = b.inner_operand;
  float* tile_values = b.scratch[static_cast<size_t>(member.rank())].tile;
  // uint8 needs the whole row for its scale, so it is made of float32 afterwards.
  const Operand& made = inner.numbers == Numbers::kUint8 ? b.inner : inner;
  for_each_tile(block.up, b.x_operand, b.tokens, tile_values, member,
                [&](int64_t row, int64_t column, const Tile& tile) {
                  kernels_.activate(activation_, tile, block.up.bias() + column, made.numbers,
                                    made.at(row, column), made.stride);
                });
  if (inner.numbers == Numbers::kUint8)
    convert(kernels_, b.inner, b.tokens, config_.intermediate, inner, member);
  for_each_tile(block.down, inner, b.tokens, tile_values, member,
                [&](int64_t row, int64_t column, const Tile& tile) {
                  kernels_.add_residual(tile, block.down.bias() + column, floats(b.x, row, column),
                                        b.x.stride);
                });
  normalise(block.output_norm, b, member);
}

}  // namespace moecollab::encoder
