#include "pipeline/open_gate.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "pipeline/gate_standing.h"

namespace moecollab::pipeline {
namespace {

void require_same_encoder(const GateFile& file, const Pool& pool) {
  if (pool.encoder() != nullptr && pool.encoder()->fingerprint() == file.encoder_fingerprint)
    return;
  throw Error("E_GATE",
              fmt::format("the gate was fitted on encoder {}, the registry has {}",
                          file.encoder_fingerprint,
                          pool.encoder() == nullptr ? "none" : pool.encoder()->fingerprint()),
              kRefit);
}

// After require_same_encoder().
void require_layers(const gate::Gate& gate, const Pool& pool) {
  const encoder::BertConfig& encoder = pool.encoder()->config();
  for (const encoder::PooledKey& key : gate.features) {
    if (key.layer >= 0 && key.layer <= encoder.layers) continue;
    throw Error("E_GATE",
                fmt::format("the gate reads layer {}, the encoder has layers 0 (embeddings) to {}",
                            key.layer, encoder.layers),
                kRefit);
  }
}

void require_same_precision(const GateFile& file, const Pool& pool) {
  const Precision precision = pool.options().compute.precision;
  if (precision == file.precision) return;
  throw Error("E_GATE",
              fmt::format("the gate was fitted in {}, asked for is {}", name(file.precision),
                          name(precision)),
              fmt::format("use --precision {}, or {}", name(file.precision), kRefit));
}

bool is_required(const Pool& pool, const std::string& name) {
  return std::ranges::any_of(pool.registry().experts, [&](const registry::ExpertEntry& entry) {
    return entry.name == name && entry.required;
  });
}

// Why the expert of a row is not among those that are ready.
std::string absence(const std::string& name, const Pool& pool) {
  const registry::Candidate* found = pool.candidate(name);
  if (found == nullptr || !found->entry) return "registry.toml has no entry for it";
  if (found->state == registry::State::kDisabled) return "it is disabled";
  return found->refusal ? found->refusal->rule : "it is not ready";
}

// A refused one that is looked at and would end a run: who opened the pool so says what it is.
bool is_tolerated(const std::string& name, const Pool& pool) {
  const registry::Candidate* found = pool.candidate(name);
  return pool.options().tolerate_refused && found != nullptr && found->refusal.has_value();
}

// What the gate was fitted for beside what is there; of an edited expert, that it was edited.
GateStanding standing_in(const Pool& pool, const GateRow& row, const InstalledExpert& expert) {
  GateStanding standing = standing_of(row, expert.package);
  const registry::Candidate* candidate = pool.candidate(row.name);
  if (candidate == nullptr || !candidate->edit) return standing;
  if (standing.kind == GateStanding::Kind::kFitted) {
    pool.context().log.warning(candidate->edit->rule + "; the gate was fitted for it as it is now",
                               candidate->edit->hint);
  } else {
    standing.reason = fmt::format("{}; {}", candidate->edit->rule, candidate->edit->hint);
  }
  return standing;
}

// The expert that has the row, maybe on probation; nullptr if none can, which is said.
InstalledExpert* find_expert(const GateRow& row, Pool& pool, RoutedGate& routed) {
  const Log& log = pool.context().log;
  const auto it = std::find_if(pool.experts().begin(), pool.experts().end(),
                               [&](const InstalledExpert& e) { return e.name == row.name; });
  if (it == pool.experts().end()) {
    if (!is_tolerated(row.name, pool)) {
      log.warning(fmt::format(
          "expert {} has a row in the gate but is not ready: {}; the others share its weight",
          escaped(row.name), absence(row.name, pool)));
    }
    return nullptr;
  }
  const GateStanding standing = standing_in(pool, row, *it);
  if (standing.kind == GateStanding::Kind::kFitted) {
    if (const auto cap = probation_cap(pool.registry(), pool.lock(), it->sha256(), true))
      log.note(fmt::format("expert {} is on probation: {}", row.name, capped_text(row.name, *cap)));
    return &*it;
  }
  routed.unfitted.push_back({row.name, standing});
  if (standing.kind == GateStanding::Kind::kMismatch) {
    if (is_required(pool, row.name))
      throw Error("E_GATE", fmt::format("expert {} is required: {}", row.name, standing.reason),
                  kRefit);
    log.warning(fmt::format("expert {} takes no part, the others share its weight: {}; {}",
                            row.name, standing.reason, kRefit));
    return nullptr;
  }
  log.note(fmt::format("expert {} is on probation with the row of the one before: {}; {}", row.name,
                       standing.reason, kRefit));
  return &*it;
}

// A gate in two factors names the space of each row.
void require_same_space(const GateRow& row, const InstalledExpert& expert, const Pool& pool) {
  const std::string& name = pool.labels().spaces()[static_cast<size_t>(expert.labels.space)].name;
  if (row.space == name) return;
  throw Error("E_GATE",
              fmt::format("gate.toml has expert {} in space {}, the expert answers in {}", row.name,
                          escaped(row.space), name),
              kRefit);
}

// A space may have grown since the fit: what an expert does not know has no logarithm.
void require_complete(const GateRow& row, const InstalledExpert& expert, const Pool& pool) {
  if (row.pool == fusion::OpinionPool::kLinear || fusion::is_complete(expert.labels, pool.labels()))
    return;
  throw Error("E_GATE",
              fmt::format("the gate pools the logarithms of what the experts of {} say, and expert "
                          "{} knows {} of its {} labels",
                          escaped(row.space), row.name, expert.labels.columns.size(),
                          pool.labels().range(expert.labels.space).count),
              kRefit);
}

void require_one_pool(const std::vector<GateRow>& rows) {
  for (const GateRow& row : rows) {
    for (const GateRow& other : rows) {
      if (row.space != other.space || row.pool == other.pool) continue;
      throw Error("E_GATE",
                  fmt::format("gate.toml pools what the experts of {} say in two ways: {} for {}, "
                              "{} for {}",
                              escaped(row.space), fusion::name(row.pool), row.name,
                              fusion::name(other.pool), other.name),
                  kRefit);
    }
  }
}

void find_unrouted(Pool& pool, std::span<const std::string> growing, RoutedGate& routed) {
  for (InstalledExpert& expert : pool.experts()) {
    if (std::find(routed.experts.begin(), routed.experts.end(), &expert) != routed.experts.end() ||
        std::find(routed.dropped.begin(), routed.dropped.end(), expert.name) !=
            routed.dropped.end() ||
        std::find(growing.begin(), growing.end(), expert.name) != growing.end())
      continue;
    routed.unrouted.push_back(expert.name);
    const std::string way = gate::can_grow(routed.gate)
                                ? fmt::format("fit it with `moecollab grow {}`", expert.name)
                                : kRefit;
    pool.context().log.warning(
        fmt::format("expert {} has no row in the gate and takes no part; {}", expert.name, way));
  }
}

// What another precision does to the answers was measured with the experts of the fit.
void require_measured(const RoutedGate& routed, const Pool& pool) {
  if (routed.unfitted.empty()) return;
  const auto& [name, standing] = routed.unfitted.front();
  throw Error("E_GATE",
              fmt::format("{} was not measured with expert {} as it is: {}",
                          moecollab::name(pool.options().compute.precision), name, standing.reason),
              fmt::format("{}, and measure it again with `moecollab eval --precision`", kRefit));
}

void note_other_device(const GateFile& file, const Pool& pool) {
  const DeviceType device = pool.options().compute.device.type;
  if (device == file.device) return;
  pool.context().log.note(fmt::format(
      "the gate was fitted on features of {} and is used on those of {}, which differ in "
      "their last digits",
      name(file.device), name(device)));
}

}  // namespace

RoutedGate open_gate(const GateFile& file, Pool& pool, std::span<const std::string> growing,
                     OtherPrecision other) {
  require_same_encoder(file, pool);
  require_layers(file.gate, pool);
  if (other == OtherPrecision::kRefused) require_same_precision(file, pool);
  note_other_device(file, pool);
  if (file.gate.is_factored()) require_one_pool(file.rows);
  RoutedGate routed;
  std::vector<int64_t> kept;
  for (size_t i = 0; i < file.rows.size(); ++i) {
    const GateRow& row = file.rows[i];
    InstalledExpert* expert = find_expert(row, pool, routed);
    if (expert == nullptr) {
      routed.dropped.push_back(row.name);
      continue;
    }
    if (file.gate.is_factored()) {
      require_same_space(row, *expert, pool);
      require_complete(row, *expert, pool);
    }
    routed.experts.push_back(expert);
    routed.rows.push_back(row);
    routed.labels.push_back(expert->labels);
    routed.labels.back().temperature = row.temperature;
    routed.labels.back().pool = row.pool;
    kept.push_back(static_cast<int64_t>(i));
  }
  if (kept.empty()) throw Error("E_GATE", "no expert of the gate is ready", kRefit);
  if (pool.options().compute.precision != file.precision) require_measured(routed, pool);
  routed.gate = file.gate;
  if (!routed.dropped.empty()) routed.gate = gate::with_experts(file.gate, kept);
  find_unrouted(pool, growing, routed);
  return routed;
}

void require_fitted(const RoutedGate& routed) {
  if (routed.unfitted.empty()) return;
  const auto& [name, standing] = routed.unfitted.front();
  const bool probation = standing.kind == GateStanding::Kind::kOnProbation;
  throw Error("E_GATE",
              fmt::format("expert {} is {}: {}", name,
                          probation ? "on probation" : "left out by the gate", standing.reason),
              fmt::format("{}, or leave --strict out", kRefit));
}

}  // namespace moecollab::pipeline
