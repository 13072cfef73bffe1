#include "engine/precision.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "encoder/device.h"
#include "encoder/kernels.h"

namespace moecollab::engine {
namespace {

using pipeline::OtherPrecision;
using registry::PrecisionRecord;

bool is_enabled(const registry::RegistryFile& file, const std::string& expert) {
  return std::any_of(file.experts.begin(), file.experts.end(),
                     [&](const auto& entry) { return entry.name == expert && entry.enabled; });
}

std::vector<PrecisionRecord> usable_records(const fs::path& registry, Device device,
                                            const std::string& cpu_class, Precision fitted) {
  std::vector<PrecisionRecord> records;
  for (const Precision precision : usable_precisions(device)) {
    if (precision == fitted) continue;
    if (auto record = registry::read_precision_record(registry, precision, cpu_class))
      records.push_back(*std::move(record));
  }
  return records;
}

// CPUs of one class run the same kernels, GPUs of one compute capability nearly.
std::string class_of(Device device) {
  if (device.is_cpu()) return std::string(encoder::usable_kernels().front()->name);
  return fmt::format("sm_{}", encoder::cuda_device(device).capability);
}

void require_allowed(const fs::path& registry, const registry::PrecisionUse& use, Device device,
                     Precision asked, Precision fitted, Log log) {
  const auto record = registry::read_precision_record(registry, asked, use.cpu_class);
  const std::string why_not =
      record ? registry::objection(*record, use)
             : fmt::format("there is no record of {} on {}", name(asked), use.cpu_class);
  if (!why_not.empty()) {
    throw Error(
        "E_GATE",
        fmt::format("the gate was fitted in {}, asked for is {}: {}", name(fitted), name(asked),
                    why_not),
        fmt::format("see what it does to the answers with `moecollab eval --precision {}{} "
                    "--data-dir …`, which writes the record; or use --precision {}",
                    name(asked), device.is_cpu() ? "" : " --device " + name(device), name(fitted)));
  }
  log.note(
      fmt::format("the gate was fitted in {} and is used in {}: by its record {} of {} answers "
                  "flip, accuracy changes by {:+.2f} points",
                  name(fitted), name(asked), record->overall.flips, record->overall.n,
                  100 * (record->overall.accuracy - record->overall.accuracy_against)));
}

}  // namespace

void require_fp32(const RunOptions& options, Log log) {
  note_auto(options, log);
  if (options.compute.precision == Precision::kFp32) return;
  throw Error("E_CONFIG",
              fmt::format("experts and gate are fitted on features in {}; fitting them in {} is "
                          "not in this version",
                          name(Precision::kFp32), name(options.compute.precision)),
              fmt::format("use --precision {0}; `moecollab eval --precision {1}` then says whether "
                          "what was fitted may be used in {1}",
                          name(Precision::kFp32), name(options.compute.precision)));
}

void note_auto(const RunOptions& options, Log log) {
  if (!options.auto_precision) return;
  log.note(fmt::format("precision auto: {}: only eval and predict choose",
                       name(options.compute.precision)));
}

registry::PrecisionUse precision_use(const fs::path& registry, const LoadedGate& gate,
                                     Device device) {
  const registry::RegistryFile file = registry::read_registry(registry);
  registry::PrecisionUse use;
  use.encoder = gate.file.encoder_fingerprint;
  use.gate = gate.file.sha256;
  for (const pipeline::GateRow& row : gate.file.rows)
    if (is_enabled(file, row.name)) use.experts.push_back(row.name);
  use.fusion = fusion::name(gate.fusion);
  use.top_k = gate.top_k;
  use.cpu_class = class_of(device);
  return use;
}

AnsweringPrecision answering_precision(const CommonOptions& options,
                                       std::optional<fusion::Mode> fusion,
                                       std::optional<int64_t> top_k, Log log) {
  const Precision asked = options.compute.precision;
  const Device device = options.compute.device;
  const bool plain = !options.auto_precision && asked == Precision::kFp32;
  if (plain || !fs::exists(registry::gate_file(options.registry)))
    return {asked, OtherPrecision::kRefused};
  const LoadedGate gate = load_gate(options.registry, fusion, top_k, Log());
  const registry::PrecisionUse use = precision_use(options.registry, gate, device);
  const Precision fitted = gate.file.precision;
  if (options.auto_precision) {
    const auto choice = registry::choose_precision(
        usable_records(options.registry, device, use.cpu_class, fitted), use, fitted);
    log.note(choice.why);
    return {choice.precision, OtherPrecision::kPermitted};
  }
  if (asked == fitted) return {asked, OtherPrecision::kRefused};
  require_allowed(options.registry, use, device, asked, fitted, log);
  return {asked, OtherPrecision::kPermitted};
}

}  // namespace moecollab::engine
