// The BERT encoder on another device than the CPU: packed token ids in, features out.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/Event.h>

#include <map>
#include <optional>
#include <vector>

#include "base/compute.h"
#include "encoder/device_blocks.h"
#include "encoder/encoder_folder.h"
#include "encoder/features.h"

namespace moecollab::encoder {

class BertWeights;

// What a pass begins with: tokens, or the states of a layer that an earlier one gave.
struct PassStart {
  std::vector<int32_t> lengths;      // of the sequences, in tokens
  std::vector<int32_t> ids;          // [sum of lengths], if it begins with the tokens
  std::vector<const float*> states;  // else per sequence its rows of H, in the host's memory
  int layer = 0;                     // whose states they are
};

// What a pass gives, in the host's memory once wait() has returned.
class PassResult {
 public:
  explicit PassResult(at::Device device);
  PassResult(PassResult&&) = default;
  PassResult& operator=(PassResult&&) = default;
  ~PassResult();

  std::map<PooledKey, at::Tensor> pooled;  // each [n, H] float32
  std::map<int, at::Tensor> states;        // each [T, H] float32

  // Begins to copy what is above, which is on the device, behind what that still computes.
  void send();
  void wait();

 private:
  at::Device device_;
  std::optional<c10::Event> arrived_;
};

// Post-LN BERT without pooler, inference only (Hugging Face modeling_bert.py). Immutable.
class DeviceBert {
 public:
  // Reads the folder's weights. Throws as Bert does, and as DeviceBlocks.
  DeviceBert(const EncoderFolder& folder, Precision precision, at::Device device);

  at::Device device() const { return device_; }

  // The pooled features of `request` and the states of its hidden layers; no block above them is
  // run. Returns as soon as the work is queued. Throws c10::OutOfMemoryError.
  PassResult forward(const PassStart& start, const FeatureRequest& request) const;

 private:
  DeviceBert(const BertConfig& config, const BertWeights& weights, Precision precision,
             at::Device device);
  at::Tensor embed(const PassStart& start) const;
  at::Tensor resume(const PassStart& start) const;

  BertConfig config_;
  at::Device device_;
  at::Tensor words_, positions_;  // positions include token type 0
  Norm embedding_norm_;
  DeviceBlocks blocks_;
};

}  // namespace moecollab::encoder
