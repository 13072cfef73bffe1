#include <fmt/format.h>

#include "base/error.h"
#include "encoder/machine_peak.h"
#include "engine/loaded_gate.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "evaluation/stage_speed.h"

namespace moecollab::engine {
namespace {

using evaluation::Speed;
using evaluation::SpeedTexts;

Json to_json(const encoder::MachinePeak& peak) {
  Json gflops = Json::object();
  for (const auto& [precision, value] : peak.gflops()) gflops[name(precision)] = value;
  return {{"gflops", gflops},
          {"memory_copy_gigabytes_per_second", peak.copy_gigabytes_per_second()}};
}

// Holds a stage that multiplies in that precision against its peak, if it multiplies.
void add_share(const encoder::MachinePeak& machine, Precision precision, Json& stage) {
  if (!stage.contains("gflops")) return;
  const double peak = machine.gflops().at(precision);
  stage["peak_gflops"] = peak;
  stage["share_of_peak"] = stage["gflops"].get<double>() / peak;
}

Json rates(const Speed& speed, const SpeedTexts& texts) {
  Json result = {{"milliseconds", speed.seconds * 1e3},
                 {"texts_per_second", static_cast<double>(texts.count()) / speed.seconds},
                 {"tokens_per_second", static_cast<double>(texts.tokens()) / speed.seconds}};
  if (speed.flops > 0) result["gflops"] = speed.flops / speed.seconds / 1e9;
  return result;
}

Json tokenize_rates(const encoder::Encoder& encoder, const SpeedTexts& texts) {
  const Speed speed = evaluation::tokenizing_speed(encoder, texts);
  Json result = rates(speed, texts);
  result["megabytes_per_second"] = static_cast<double>(texts.bytes()) / speed.seconds / 1e6;
  return result;
}

Json expert_rates(pipeline::Pool& pool, const SpeedTexts& texts) {
  Json experts = Json::array();
  for (pipeline::InstalledExpert& expert : pool.experts()) {
    const evaluation::ExpertSpeed speed = evaluation::expert_speed(pool, expert, texts);
    Json result = rates(speed.all, texts);
    result["name"] = expert.name;
    result["microseconds_batch_1"] = speed.microseconds_batch_1;
    result["microseconds_batch_32"] = speed.microseconds_batch_32;
    experts.push_back(std::move(result));
  }
  return experts;
}

// A registry without a gate that fits it is measured all the same, but for gate and fusion.
Json routing_rates(const RunContext& context, pipeline::Pool& pool, const SpeedTexts& texts) {
  try {
    const LoadedGate gate = load_gate(pool, {}, {}, context.log);
    pipeline::Collaboration collaboration(pool, pipeline::open_gate(gate.file, pool), gate.fusion,
                                          gate.top_k);
    const evaluation::RoutingSpeed speed = evaluation::routing_speed(collaboration, texts);
    return {{"gate", rates(speed.gate, texts)}, {"fusion", rates(speed.fusion, texts)}};
  } catch (const Error& error) {
    if (!error.code().starts_with("E_GATE")) throw;
    return {{"left_out", {{"stages", {"gate", "fusion"}}, {"reason", error.what()}}}};
  }
}

// Experts, gate and fusion compute in fp32, whatever the encoder does. The peak is that of the CPU.
void add_shares(const encoder::MachinePeak& peak, const Compute& compute, Json& result) {
  if (result.contains("encode") && compute.device.is_cpu())
    add_share(peak, compute.precision, result["encode"]);
  if (result.contains("gate")) add_share(peak, Precision::kFp32, result["gate"]);
  if (!result.contains("experts")) return;
  for (Json& expert : result["experts"]) add_share(peak, Precision::kFp32, expert);
}

}  // namespace

Json run_bench(const BenchOptions& options, const RunContext& context) {
  prepare(options);
  note_auto(options, context.log);
  if (options.texts < 1)
    throw Error("E_CONFIG", fmt::format("texts is {}, expected at least 1", options.texts));
  pipeline::PoolOptions opening = pool_options(options, context, /*cached=*/false);
  // The encoder is measured without experts; their probe vectors may hold in one precision only.
  opening.tolerate_refused = options.stage == BenchStage::kEncode;
  pipeline::Pool pool(opening);
  if (pool.encoder() == nullptr)
    throw Error("E_ENCODER", "registry.toml names no encoder", "use --encoder DIR");
  encoder::Encoder& encoder = *pool.encoder();
  const Compute& compute = pool.options().compute;
  const SpeedTexts texts(options.texts, encoder);
  encoder::MachinePeak peak;
  peak.measure();
  Json result = {{"threads", compute.threads},
                 {"device", name(compute.device)},
                 {"precision", name(compute.precision)},
                 {"texts", texts.count()},
                 {"tokens", texts.tokens()},
                 {"peak", {}}};
  if (options.stage != BenchStage::kExpert) {
    result["tokenize"] = tokenize_rates(encoder, texts);
    result["encode"] = rates(evaluation::encoding_speed(encoder, texts), texts);
  }
  if (options.stage != BenchStage::kEncode) result["experts"] = expert_rates(pool, texts);
  if (options.stage == BenchStage::kAll) result.update(routing_rates(context, pool, texts));
  peak.measure();
  result["peak"] = to_json(peak);
  add_shares(peak, compute, result);
  return result;
}

}  // namespace moecollab::engine
