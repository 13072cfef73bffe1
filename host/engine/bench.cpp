#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

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

// What this machine reached so far. Another program may slow down one measurement: the best counts.
class MachinePeak {
 public:
  void measure() {
    for (const Precision precision : usable_precisions()) {
      double& best = gflops_[name(precision)];
      best = std::max(best, encoder::peak_gflops(precision));
    }
    copy_ = std::max(copy_, encoder::copy_gigabytes_per_second());
  }
  // GFLOP/s in each precision that this CPU multiplies, and the memory's copy.
  Json to_json() const {
    return {{"gflops", gflops_}, {"memory_copy_gigabytes_per_second", copy_}};
  }
  // Holds a stage that multiplies in that precision against it, if it multiplies.
  void add_share(Precision precision, Json& stage) const {
    if (!stage.contains("gflops")) return;
    const double peak = gflops_.at(name(precision));
    stage["peak_gflops"] = peak;
    stage["share_of_peak"] = stage["gflops"].get<double>() / peak;
  }

 private:
  std::map<std::string, double> gflops_;  // by precision
  double copy_ = 0;
};

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
Json routing_rates(const BenchOptions& options, const RunContext& context, pipeline::Pool& pool,
                   const SpeedTexts& texts) {
  try {
    const LoadedGate gate = load_gate(options.registry, {}, {}, context.log);
    pipeline::Collaboration collaboration(pool, pipeline::open_gate(gate.file, pool), gate.fusion,
                                          gate.top_k);
    const evaluation::RoutingSpeed speed = evaluation::routing_speed(collaboration, texts);
    return {{"gate", rates(speed.gate, texts)}, {"fusion", rates(speed.fusion, texts)}};
  } catch (const Error& error) {
    if (!error.code().starts_with("E_GATE")) throw;
    return {{"left_out", {{"stages", {"gate", "fusion"}}, {"reason", error.what()}}}};
  }
}

// Experts, gate and fusion compute in fp32, whatever the encoder does.
void add_shares(const MachinePeak& peak, Precision encoder, Json& result) {
  if (result.contains("encode")) peak.add_share(encoder, result["encode"]);
  if (result.contains("gate")) peak.add_share(Precision::kFp32, result["gate"]);
  if (!result.contains("experts")) return;
  for (Json& expert : result["experts"]) peak.add_share(Precision::kFp32, expert);
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
  const Precision precision = pool.options().compute.precision;
  const SpeedTexts texts(options.texts, encoder);
  MachinePeak peak;
  peak.measure();
  Json result = {{"threads", pool.options().compute.threads},
                 {"precision", name(precision)},
                 {"texts", texts.count()},
                 {"tokens", texts.tokens()},
                 {"peak", {}}};
  if (options.stage != BenchStage::kExpert) {
    result["tokenize"] = tokenize_rates(encoder, texts);
    result["encode"] = rates(evaluation::encoding_speed(encoder, texts), texts);
  }
  if (options.stage != BenchStage::kEncode) result["experts"] = expert_rates(pool, texts);
  if (options.stage == BenchStage::kAll)
    result.update(routing_rates(options, context, pool, texts));
  peak.measure();
  result["peak"] = peak.to_json();
  add_shares(peak, precision, result);
  return result;
}

}  // namespace moecollab::engine
