// moecollab.draft.blocks/1 by plain loops, for the host that packages are tried with.
#pragma once

#include <moecollab/ext/draft/blocks.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "encoder/bert_config.h"

namespace moecollab::conformance {

// The shape of a BERT's weight by the end of its name; empty for another name.
std::vector<int64_t> block_weight_shape(const encoder::BertConfig& config, std::string_view name);

// Post-LN blocks as Hugging Face's BertLayer has them. Immutable.
class ReferenceBlocks {
 public:
  // Copies the weights, whose names and shapes ext/draft/blocks.h says. Throws
  // std::invalid_argument naming one that is missing or of another shape.
  ReferenceBlocks(const encoder::BertConfig& config, uint64_t count, uint64_t weight_count,
                  const moec_string* names, const moec_tensor* weights);

  // The mean [H] of the last states of one text, whose first states [n, H] are given.
  std::vector<float> mean(std::span<const float> states) const;

 private:
  using Values = std::vector<float>;
  using Block = std::map<std::string, Values, std::less<>>;  // by the name within the block

  // x·Wᵀ + b of rows x, whose width is that of the weight.
  Values linear(const Block& block, const std::string& name, const Values& x) const;
  void add_and_normalise(const Block& block, const std::string& name, const Values& change,
                         Values& x) const;
  Values attend(const Block& block, const Values& x) const;
  void run(const Block& block, Values& x) const;

  encoder::BertConfig config_;
  std::vector<Block> blocks_;
};

// The extension, of a host whose context is a Subject.
const moec_ext_blocks& reference_blocks();
// How often means() was called in this process.
int64_t reference_passes();

}  // namespace moecollab::conformance
