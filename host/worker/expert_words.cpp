#include "worker/expert_words.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::worker {

void nonsense(const std::string& expert, const std::string& what) {
  throw Error("E_IPC", fmt::format("expert {}: its process says that {}", escaped(expert), what));
}

Word word_of(const Reply& reply, size_t received, uint64_t sequence) {
  if (received != sizeof reply) return Word::kNonsense;
  if (reply.kind == ReplyKind::kNote || reply.kind == ReplyKind::kWarning) return Word::kNote;
  const ReplyKind expected = sequence == 0 ? ReplyKind::kHello : ReplyKind::kDone;
  return reply.kind == expected && reply.sequence == sequence ? Word::kAnswer : Word::kNonsense;
}

void require_bounded(const std::string& expert, const WireFacts& facts) {
  if (facts.parameters > kMostParameters || facts.states > kMostParameters ||
      facts.layer_count > kMostLayers)
    nonsense(expert, "it has more tensors or layers than any expert");
}

std::vector<int64_t> shape_of(const std::string& expert, const WireParameter& parameter) {
  if (parameter.ndim < 0 || parameter.ndim > kMostDimensions)
    nonsense(expert, fmt::format("a tensor has {} dimensions", parameter.ndim));
  std::vector<int64_t> shape(parameter.shape, parameter.shape + parameter.ndim);
  int64_t elements = 1;
  for (const int64_t extent : shape) {
    if (extent < 0 || extent > kMostElements || elements * extent > kMostElements)
      nonsense(expert, fmt::format("a tensor is {} wide", extent));
    elements *= extent;
  }
  return shape;
}

}  // namespace moecollab::worker
