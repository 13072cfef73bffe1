// How the states of a text's tokens become one vector. Torch-free.
#pragma once

#include <optional>
#include <string_view>

namespace moecollab::encoder {

enum class Pooling { kMean, kCls };

// "mean" or "cls", and back (nullopt for another word).
std::string_view name(Pooling pooling);
std::optional<Pooling> parse_pooling(std::string_view text);

}  // namespace moecollab::encoder
