#include "encoder/encoder_folder.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "encoder/folder_refusal.h"
#include "encoder/sentence_transformers.h"

namespace moecollab::encoder {
namespace {

bool has_config(const fs::path& folder) {
  std::error_code ignored;
  return fs::symlink_status(folder / "config.json", ignored).type() != fs::file_type::not_found;
}

int max_length_of(const EncoderFolder& folder, std::optional<int> stated) {
  const int64_t positions = folder.config.max_positions;
  if (!stated) return static_cast<int>(std::min<int64_t>(kDefaultMaxLength, positions));
  if (*stated > positions) {
    throw Error("E_CONFIG",
                fmt::format("max_length is {}, the encoder {} has {} positions", *stated,
                            shown(folder.model), positions),
                fmt::format("use a max_length of at most {}", positions));
  }
  return *stated;
}

// Only of a length that nobody stated: who states one knows of it.
void note_length(EncoderFolder& folder, const std::optional<StatedLength>& length) {
  if (folder.max_length < kDefaultMaxLength) {
    folder.notes.push_back(fmt::format(
        "the encoder {} has {} positions: texts are cut at {} tokens instead of {}",
        shown(folder.model), folder.config.max_positions, folder.max_length, kDefaultMaxLength));
  }
  if (length && length->tokens < folder.max_length) {
    folder.notes.push_back(fmt::format(
        "{} says {} {}: texts are cut at {} tokens all the same; state max_length {} to cut there",
        shown(length->file), length->key, length->tokens, folder.max_length, length->tokens));
  }
}

}  // namespace

weights::CheckpointFiles EncoderFolder::checkpoint() const {
  if (auto files = weights::find_checkpoint(model)) return *std::move(files);
  refuse_without_weights(model);
}

EncoderFolder open_encoder_folder(const fs::path& stated, std::optional<int> max_length) {
  require_folder(stated);
  const SentenceModel sentence = read_sentence_model(stated);
  EncoderFolder folder;
  folder.model = sentence.transformer;
  if (!has_config(folder.model)) refuse_without_config(folder.model);
  folder.config = read_bert_config(folder.model);
  folder.max_length = max_length_of(folder, max_length);
  folder.notes = sentence.notes;
  if (!max_length) note_length(folder, sentence.max_length);
  return folder;
}

}  // namespace moecollab::encoder
