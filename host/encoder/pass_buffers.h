// The memory of a forward pass, which is used again by the next.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "encoder/arena.h"
#include "encoder/bert_config.h"
#include "encoder/kernels.h"

namespace moecollab::encoder {

// A row per token, in whole tiles; rows after the last token hold what they held. Rows of float32
// have a twin as a product reads them, which for float32 products is themselves.
struct PassBuffers {
  int64_t tokens = 0;
  Operand x, qkv, context, inner;  // float32, qkv perhaps bfloat16
  Operand x_operand, context_operand, inner_operand;
  // What a thread needs for itself.
  struct Scratch {
    float *tile = nullptr, *attention = nullptr;
  };
  std::vector<Scratch> scratch;  // one per thread

  // `numbers`: those of products.
  void prepare(const BertConfig& config, Numbers numbers, std::span<const int32_t> lengths,
               int64_t threads) {
    tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
    scratch.resize(static_cast<size_t>(threads));
    const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
    needed_ = 0;
    counting_ = true;
    lay_out(config, numbers, longest);
    if (needed_ > arena_.size()) arena_ = Arena(needed_);
    arena_.reset();
    counting_ = false;
    lay_out(config, numbers, longest);
  }

 private:
  void lay_out(const BertConfig& config, Numbers numbers, int64_t longest) {
    const int64_t rows = whole_tiles(tokens);
    x = take_rows(Numbers::kFp32, rows, config.hidden);
    // bfloat16 numbers are multiplied in pairs, which an odd width of heads would split.
    const bool pairs = numbers == Numbers::kBf16 && config.hidden / config.heads % 2 == 0;
    qkv = take_rows(pairs ? Numbers::kBf16 : Numbers::kFp32, rows + kReadBeyond, 3 * config.hidden);
    context = take_rows(Numbers::kFp32, rows, config.hidden);
    inner = take_rows(Numbers::kFp32, rows, config.intermediate);
    x_operand = take_twin(numbers, x, rows);
    context_operand = take_twin(numbers, context, rows);
    inner_operand = take_twin(numbers, inner, rows);
    for (Scratch& own : scratch) {
      own.tile = take_floats(kTile * kTile);
      own.attention = take_floats(attention_scratch(longest, config.hidden / config.heads));
    }
  }

  Operand take_rows(Numbers numbers, int64_t rows, int64_t width) {
    const int64_t stride = whole_tiles(width);
    return {numbers, take(rows * stride * size_of(numbers)), stride};
  }

  Operand take_twin(Numbers numbers, const Operand& floats, int64_t rows) {
    if (numbers == Numbers::kFp32) return floats;
    Operand twin = take_rows(numbers, rows, floats.stride);
    if (numbers != Numbers::kUint8) return twin;
    twin.scales = take_floats(rows);
    twin.offsets = take_floats(rows);
    return twin;
  }

  float* take_floats(int64_t count) {
    return static_cast<float*>(take(count * size_of(Numbers::kFp32)));
  }

  // The first time round only adds up.
  void* take(int64_t bytes) {
    if (!counting_) return arena_.take(bytes);
    needed_ += Arena::piece(bytes);
    return nullptr;
  }

  Arena arena_;
  int64_t needed_ = 0;
  bool counting_ = false;
};

}  // namespace moecollab::encoder
