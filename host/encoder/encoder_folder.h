// An encoder's folder, in any of the layouts that the Hub has. Torch-free.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "encoder/bert_config.h"
#include "weights/checkpoint.h"

namespace moecollab::encoder {

// Tokens per text, [CLS] and [SEP] included, unless stated: fewer if the encoder has fewer
// positions.
inline constexpr int kDefaultMaxLength = 256;

struct EncoderFolder {
  fs::path model;  // holds config.json, weights and tokenizer: the stated folder, or one below it
  BertConfig config;
  int max_length = kDefaultMaxLength;  // as stated, else the default for this encoder
  // What the folder says and this program does otherwise, a sentence each: another pooling, modules
  // after it, a lower length.
  std::vector<std::string> notes;

  // Its weights; throws E_ENCODER saying what lies there instead, or as weights::find_checkpoint().
  weights::CheckpointFiles checkpoint() const;
};

// `stated`: a BERT's folder with config.json, or that of a sentence-transformers model, whose
// modules.json says where its BERT lies. Reads the small files only. Throws E_ENCODER naming the
// file, or what lies there instead of an encoder and what to do; E_CONFIG naming both if
// `max_length` is stated and the encoder has fewer positions.
EncoderFolder open_encoder_folder(const fs::path& stated, std::optional<int> max_length = {});

}  // namespace moecollab::encoder
