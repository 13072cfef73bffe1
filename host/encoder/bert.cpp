#include "encoder/bert.h"

#include <ATen/core/grad_mode.h>
#include <ATen/native/CPUBlas.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "encoder/bert_weights.h"
#include "encoder/pass_buffers.h"

namespace moecollab::encoder {
namespace {

constexpr int64_t kRowGroup = 4;  // the last tile's rows are a multiple: few shapes of product

int64_t packed_bytes(const BertConfig& c, Precision precision) {
  int64_t bytes = 0;
  for (const auto& [out, in] : {std::pair(3 * c.hidden, c.hidden),
                                {c.hidden, c.hidden},
                                {c.intermediate, c.hidden},
                                {c.hidden, c.intermediate}})
    bytes += Arena::piece(Product::bytes(out, in, precision));
  return c.layers * bytes;
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

// Buffers that no other pass uses meanwhile.
class Bert::Lease {
 public:
  explicit Lease(const Bert& bert) : bert_(bert) {
    const std::lock_guard lock(bert_.mutex_);
    if (bert_.spare_.empty()) {
      buffers_ = std::make_unique<PassBuffers>();
    } else {
      buffers_ = std::move(bert_.spare_.back());
      bert_.spare_.pop_back();
    }
  }
  ~Lease() {
    at::native::cpublas::brgemm_release();
    const std::lock_guard lock(bert_.mutex_);
    bert_.spare_.push_back(std::move(buffers_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  PassBuffers& operator*() const { return *buffers_; }

 private:
  const Bert& bert_;
  std::unique_ptr<PassBuffers> buffers_;
};

Bert::~Bert() = default;

Bert::Bert(const EncoderFolder& folder, Precision precision, const Kernels& kernels)
    : config_(folder.config),
      precision_(precision),
      kernels_(kernels),
      activation_(parse_activation(config_.activation).value()),
      packed_(packed_bytes(config_, precision)) {
  const at::NoGradGuard no_grad;
  const BertWeights weights(folder.checkpoint(), config_);
  words_ = weights.get("embeddings.word_embeddings.weight");
  positions_ = weights.get("embeddings.position_embeddings.weight") +
               weights.get("embeddings.token_type_embeddings.weight")[0];
  const auto norm = [&](const std::string& name) {
    return Norm{weights.get(name + ".weight"), weights.get(name + ".bias")};
  };
  const auto product = [&](const std::string& name) {
    return Product(weights.get(name + ".weight"), weights.get(name + ".bias"), precision, kernels,
                   packed_);
  };
  embedding_norm_ = norm("embeddings.LayerNorm");
  for (int64_t i = 0; i < config_.layers; ++i) {
    const std::string layer = fmt::format("encoder.layer.{}.", i);
    const std::string self = layer + "attention.self.";
    const auto joined = [&](const char* kind) {
      return at::cat({weights.get(self + "query." + kind), weights.get(self + "key." + kind),
                      weights.get(self + "value." + kind)});
    };
    blocks_.push_back(
        {.qkv = Product(joined("weight"), joined("bias"), precision, kernels, packed_),
         .attention_out = product(layer + "attention.output.dense"),
         .up = product(layer + "intermediate.dense"),
         .down = product(layer + "output.dense"),
         .attention_norm = norm(layer + "attention.output.LayerNorm"),
         .output_norm = norm(layer + "output.LayerNorm")});
  }
}

int64_t Bert::useful_threads(std::span<const int32_t> lengths, int64_t threads) const {
  const int64_t tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  const int64_t tiles = whole_tiles(tokens) / kTile * (whole_tiles(config_.hidden) / kTile);
  return std::clamp<int64_t>(threads, 1, tiles);
}

void Bert::forward(std::span<const int32_t> ids, std::span<const int32_t> lengths,
                   const std::set<int>& wanted,
                   const std::function<void(int layer, const States&)>& sink,
                   int64_t threads) const {
  if (wanted.empty() || ids.empty()) return;
  const Lease lease(*this);
  PassBuffers& b = *lease;
  const int64_t members = useful_threads(lengths, threads);
  b.prepare(config_, numbers_of(precision_), lengths, members);
  embed(ids, lengths, b);
  int done = 0;
  for (const int layer : wanted) {
    if (done < layer) {
      in_team(members, [&](const TeamMember& member) {
        for (int i = done; i < layer; ++i)
          run(blocks_.at(static_cast<size_t>(i)), lengths, b, member);
        if (member.rank() > 0) at::native::cpublas::brgemm_release();
      });
      done = layer;
    }
    sink(layer, {static_cast<const float*>(b.x.values), b.x.stride});
  }
}

void Bert::embed(std::span<const int32_t> ids, std::span<const int32_t> lengths,
                 PassBuffers& b) const {
  const float* words = words_.const_data_ptr<float>();
  const float* positions = positions_.const_data_ptr<float>();
  const int64_t hidden = config_.hidden;
  auto* x = static_cast<float*>(b.x.values);
  const int32_t* id = ids.data();
  for (const int32_t length : lengths) {
    for (int32_t t = 0; t < length; ++t, ++id, x += b.x.stride) {
      const float *word = words + *id * hidden, *position = positions + t * hidden;
      for (int64_t c = 0; c < hidden; ++c) x[c] = word[c] + position[c];
    }
  }
  normalise(embedding_norm_, b, TeamMember());
}

void Bert::normalise(const Norm& norm, PassBuffers& b, const TeamMember& member) const {
  const auto [begin, end] = member.part(b.tokens);
  kernels_.layer_norm(floats(b.x, begin, 0), b.x.stride, end - begin, config_.hidden,
                      norm.weight.const_data_ptr<float>(), norm.bias.const_data_ptr<float>(),
                      static_cast<float>(config_.ln_eps), b.x_operand.from(begin));
  member.finish_step();
}

void Bert::run(const Block& block, std::span<const int32_t> lengths, PassBuffers& b,
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

void Bert::attend(std::span<const int32_t> lengths, PassBuffers& b,
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

void Bert::feed_forward(const Block& block, PassBuffers& b, const TeamMember& member) const {
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
