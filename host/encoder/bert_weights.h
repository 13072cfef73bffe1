// The tensors of a BERT checkpoint, under the names and in the shapes that the forward pass wants.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>

#include "encoder/bert_config.h"
#include "weights/checkpoint.h"

namespace moecollab::encoder {

// Owns the tensors or, of a float32 file, the mapping that they are views of: there is one copy of
// the weights in memory, which all processes share. Does not change once it is made, so that
// threads may share it; references and pointers are valid as long as it lives.
class BertWeights {
 public:
  // Reads the files (safetensors; F32, F16 or BF16) as float32. Accepts the prefix
  // "bert." and the old names gamma and beta; ignores position_ids, the pooler and a task's head:
  // cls.*, classifier.*, qa_outputs.*, and all without the prefix if the BERT's tensors have it.
  // Throws E_ENCODER listing all tensors that are missing, unknown, doubled or of another shape
  // than config.json asks for, and E_ST_… for a file that is no safetensors.
  BertWeights(const weights::CheckpointFiles& files, const BertConfig& config);

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
