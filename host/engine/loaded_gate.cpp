#include "engine/loaded_gate.h"

#include <fmt/format.h>

namespace moecollab::engine {
namespace {

LoadedGate as_asked(pipeline::GateFile file, const registry::GateEntry& entry,
                    std::optional<fusion::Mode> fusion, std::optional<int64_t> top_k, Log log) {
  LoadedGate gate{std::move(file), {}, 0};
  if (!fusion && entry.fusion) fusion = fusion::parse_mode(*entry.fusion);
  gate.fusion = fusion.value_or(gate.file.fusion);
  gate.top_k = top_k.value_or(entry.top_k.value_or(gate.file.top_k));
  if (gate.fusion != gate.file.fusion) {
    log.note(fmt::format("the gate was fitted through {} fusion and is used through {}",
                         fusion::name(gate.file.fusion), fusion::name(gate.fusion)));
  }
  return gate;
}

}  // namespace

LoadedGate load_gate(const pipeline::Pool& pool, std::optional<fusion::Mode> fusion,
                     std::optional<int64_t> top_k, Log log) {
  return as_asked(pipeline::read_gate(pool), pool.registry().gate, fusion, top_k, log);
}

LoadedGate load_gate(const fs::path& registry, std::optional<fusion::Mode> fusion,
                     std::optional<int64_t> top_k, Log log) {
  return as_asked(pipeline::read_gate(registry), registry::read_registry(registry).gate, fusion,
                  top_k, log);
}

}  // namespace moecollab::engine
