// The tensors of a BERT checkpoint, under the names and in the shapes that the forward pass wants.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>

#include "encoder/bert_config.h"

namespace moecollab::encoder {

class BertWeights {
 public:
  // Reads `file` (safetensors; F32, F16 or BF16) as float32 onto `device`. Accepts the prefix
  // "bert." and the old names gamma and beta; ignores position_ids, cls.*, classifier.* and the
  // pooler. Throws E_ENCODER listing all tensors that are missing, unknown or of another shape.
  BertWeights(const fs::path& file, const BertConfig& config, at::Device device);

  const at::Tensor& get(const std::string& name) const { return tensors_.at(name); }
  // nullptr if there is none.
  const at::Tensor* find(const std::string& name) const {
    const auto it = tensors_.find(name);
    return it == tensors_.end() ? nullptr : &it->second;
  }

 private:
  std::map<std::string, at::Tensor> tensors_;
};

}  // namespace moecollab::encoder
