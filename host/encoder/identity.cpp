#include "encoder/identity.h"

#include <fmt/format.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"

namespace moecollab::encoder {

std::string fingerprint_of(const EncoderFolder& folder, const text::Tokenizer& tokenizer) {
  const BertConfig& c = folder.config;
  // The values that change results, not config.json's bytes, which exporters reorder freely.
  const std::string config =
      fmt::format("{} {} {} {} {} {} {} {:.17g} {}", c.layers, c.hidden, c.heads, c.intermediate,
                  c.vocabulary, c.max_positions, c.token_types, c.ln_eps, c.activation);
  return sha256_hex(fmt::format("weights {}\nconfig {}\ntokenizer {}\nmax_length {}\n",
                                folder.checkpoint().sha256(), config, tokenizer.fingerprint(),
                                folder.max_length));
}

text::Tokenizer open_tokenizer(const EncoderFolder& folder, text::SpecialTokens special_tokens) {
  text::Tokenizer tokenizer = text::Tokenizer::from_folder(folder.model, special_tokens);
  if (tokenizer.size() != folder.config.vocabulary) {
    throw Error(
        "E_VOCAB",
        fmt::format("{}: the vocabulary has {} tokens, config.json says vocab_size {}",
                    escaped(folder.model.string()), tokenizer.size(), folder.config.vocabulary),
        "use the vocabulary that belongs to these weights");
  }
  return tokenizer;
}

}  // namespace moecollab::encoder
