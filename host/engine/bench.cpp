#include <fmt/format.h>

#include "base/error.h"
#include "encoder/machine_peak.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "evaluation/stage_speed.h"

namespace moecollab::engine {
namespace {

using evaluation::Speed;
using evaluation::SpeedTexts;

// GFLOP/s in each precision that this CPU multiplies, and the memory's copy.
Json measured_peak() {
  Json gflops = Json::object();
  for (const Precision precision : usable_precisions())
    gflops[name(precision)] = encoder::peak_gflops(precision);
  return {{"gflops", gflops},
          {"memory_copy_gigabytes_per_second", encoder::copy_gigabytes_per_second()}};
}

// `peak`: GFLOP/s of what the stage multiplies in.
Json rates(const Speed& speed, const SpeedTexts& texts, double peak) {
  Json result = {{"milliseconds", speed.seconds * 1e3},
                 {"texts_per_second", static_cast<double>(texts.count()) / speed.seconds},
                 {"tokens_per_second", static_cast<double>(texts.tokens()) / speed.seconds}};
  if (speed.flops > 0) {
    const double gflops = speed.flops / speed.seconds / 1e9;
    result.update({{"gflops", gflops}, {"peak_gflops", peak}, {"share_of_peak", gflops / peak}});
  }
  return result;
}

Json tokenize_rates(const encoder::Encoder& encoder, const SpeedTexts& texts) {
  const Speed speed = evaluation::tokenizing_speed(encoder, texts);
  Json result = rates(speed, texts, 0);
  result["megabytes_per_second"] = static_cast<double>(texts.bytes()) / speed.seconds / 1e6;
  return result;
}

Json expert_rates(pipeline::Pool& pool, const SpeedTexts& texts, double peak) {
  Json experts = Json::array();
  for (pipeline::InstalledExpert& expert : pool.experts()) {
    const evaluation::ExpertSpeed speed = evaluation::expert_speed(pool, expert, texts);
    Json result = rates(speed.all, texts, peak);
    result["name"] = expert.name;
    result["microseconds_batch_1"] = speed.microseconds_batch_1;
    result["microseconds_batch_32"] = speed.microseconds_batch_32;
    experts.push_back(std::move(result));
  }
  return experts;
}

// A registry without a gate that fits it is measured all the same, but for gate and fusion.
Json routing_rates(const BenchOptions& options, const RunContext& context, pipeline::Pool& pool,
                   const SpeedTexts& texts, double peak) {
  try {
    const LoadedGate gate = load_gate(options.registry, {}, {}, context.log);
    pipeline::Collaboration collaboration(pool, pipeline::open_gate(gate.file, pool), gate.fusion,
                                          gate.top_k);
    const evaluation::RoutingSpeed speed = evaluation::routing_speed(collaboration, texts);
    return {{"gate", rates(speed.gate, texts, peak)}, {"fusion", rates(speed.fusion, texts, peak)}};
  } catch (const Error& error) {
    if (!error.code().starts_with("E_GATE")) throw;
    return {{"left_out", {{"stages", {"gate", "fusion"}}, {"reason", error.what()}}}};
  }
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
  const std::string precision = name(pool.options().compute.precision);
  const SpeedTexts texts(options.texts, encoder);
  const Json peak = measured_peak();
  // Experts, gate and fusion compute in fp32, whatever the encoder does.
  const auto fp32 = peak["gflops"][name(Precision::kFp32)].get<double>();
  Json result = {{"threads", pool.options().compute.threads},
                 {"precision", precision},
                 {"texts", texts.count()},
                 {"tokens", texts.tokens()},
                 {"peak", peak}};
  if (options.stage != BenchStage::kExpert) {
    result["tokenize"] = tokenize_rates(encoder, texts);
    result["encode"] = rates(evaluation::encoding_speed(encoder, texts), texts,
                             peak["gflops"][precision].get<double>());
  }
  if (options.stage != BenchStage::kEncode) result["experts"] = expert_rates(pool, texts, fp32);
  if (options.stage == BenchStage::kAll)
    result.update(routing_rates(options, context, pool, texts, fp32));
  return result;
}

}  // namespace moecollab::engine
