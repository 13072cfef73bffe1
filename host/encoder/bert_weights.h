// The tensors of a BERT checkpoint, under the names and in the shapes that the forward pass wants.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>

#include "encoder/bert_config.h"

namespace moecollab::encoder {

// Owns the tensors. Does not change once it is made, so that threads may share it; references and
// pointers are valid as long as it lives.
class BertWeights {
 public:
  // Reads `file` (safetensors; F32, F16 or BF16) as float32 onto `device`. Accepts the prefix
  // "bert." and the old names gamma and beta; ignores position_ids, cls.*, classifier.* and the
  // pooler. Throws E_ENCODER listing all tensors that are missing, unknown, doubled or of
  // another shape than config.json asks for, and E_ST_… for a file that is no safetensors.
  BertWeights(const fs::path& file, const BertConfig& config, at::Device device);

  // The weight of that name of Hugging Face's BertModel, which must be one of the config's: linear
  // weights [out, in], embeddings [rows, hidden], biases and norms [out].
  const at::Tensor& get(const std::string& name) const { return tensors_.at(name); }
  // The same, or nullptr for a name that is none of them.
  const at::Tensor* find(const std::string& name) const {
    const auto it = tensors_.find(name);
    return it == tensors_.end() ? nullptr : &it->second;
  }

 private:
  std::map<std::string, at::Tensor> tensors_;
};

}  // namespace moecollab::encoder
