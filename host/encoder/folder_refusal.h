// How a folder that is no encoder is refused: with what lies there instead, and the way on.
#pragma once

#include "base/files.h"

namespace moecollab::encoder {

// Throws E_ENCODER unless `folder` is a folder.
void require_folder(const fs::path& folder);

// Throw E_ENCODER for a folder without config.json or without weights: nothing is in it, the
// encoder lies below it, its weights are in a format that is not read. A pickle is never opened.
[[noreturn]] void refuse_without_config(const fs::path& folder);
[[noreturn]] void refuse_without_weights(const fs::path& folder);

}  // namespace moecollab::encoder
