// Blocks that the host computes, as fast as its encoder's.
#pragma once

#include <ATen/ATen.h>
#include <moecollab/abi.h>
#include <moecollab/ext/draft/blocks.h>

#include <vector>

#include "bert_block.h"

namespace moecollab::deep_adapter {

// Owns the host's copy of some blocks. For inference.
class HostBlocks {
 public:
  // Whether the host has moecollab.draft.blocks/1.
  static bool offered(const moec_host* host);

  // Throws std::runtime_error with the host's message.
  HostBlocks(const moec_host* host, const std::vector<BertBlock>& blocks);
  ~HostBlocks();
  HostBlocks(const HostBlocks&) = delete;
  HostBlocks& operator=(const HostBlocks&) = delete;

  // Means [n, H] over each text's last states, for the batch's states [T, H], and where they are.
  at::Tensor means(const at::Tensor& states, const int32_t* row_offsets, int64_t rows) const;

 private:
  const moec_host* host_;
  const moec_ext_blocks* table_;
  moec_blocks* blocks_ = nullptr;
};

}  // namespace moecollab::deep_adapter
