// Which encoder a folder holds.
#pragma once

#include <string>

#include "encoder/encoder_folder.h"
#include "text/tokenizer.h"

namespace moecollab::encoder {

// Throws E_VOCAB naming both sizes if its vocabulary is another than that of the weights.
text::Tokenizer open_tokenizer(const EncoderFolder& folder, text::SpecialTokens special_tokens);

// SHA-256 of all that changes what the encoder gives. Reads the weights.
std::string fingerprint_of(const EncoderFolder& folder, const text::Tokenizer& tokenizer);

}  // namespace moecollab::encoder
