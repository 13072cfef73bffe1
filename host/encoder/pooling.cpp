#include "encoder/pooling.h"

namespace moecollab::encoder {

std::string_view name(Pooling pooling) { return pooling == Pooling::kMean ? "mean" : "cls"; }

std::optional<Pooling> parse_pooling(std::string_view text) {
  if (text == "mean") return Pooling::kMean;
  if (text == "cls") return Pooling::kCls;
  return std::nullopt;
}

}  // namespace moecollab::encoder
