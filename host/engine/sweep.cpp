// The verb sweep: λ1 × λ2 over features and expert outputs that are collected once.
#include "base/file_lock.h"
#include "base/measure.h"
#include "data/hold_out.h"
#include "engine/agreement.h"
#include "engine/output_folder.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "evaluation/sweep_report.h"
#include "training/gate_prior.h"
#include "training/sweep_points.h"

namespace moecollab::engine {
namespace {

// All that the points depend on and that options say, for the ranks to compare.
Json asked_for(const SweepOptions& options, const training::GateTrainingOptions& gate) {
  Json json = training::sweep_settings(gate);
  json.update({{"lambda1", options.lambdas1},
               {"lambda2", options.lambdas2},
               {"prior", gate.prior_source},
               {"file of the prior", training::prior_digest(gate.prior_source)},
               {"calibrate", gate.calibrate},
               {"cross_fitted", gate.cross_fitted},
               {"layers", gate.layers},
               {"gate-layer", gate.gate_layer ? Json(*gate.gate_layer) : Json(nullptr)}});
  return json;
}

void write_results(const fs::path& folder, const Json& result) {
  write_file_atomic(folder / "sweep.json", to_text(result));
  write_file_atomic(folder / "sweep.csv", evaluation::sweep_csv(result));
  write_file_atomic(folder / "sweep.html", html_document(evaluation::sweep_page(result)));
}

void note_unmoved(const Json& points, Log log) {
  const auto unmoved = std::ranges::count_if(
      points, [](const Json& p) { return p["failure"].is_null() && p["epochs"] == 0; });
  if (unmoved == 0) return;
  log.note(
      fmt::format("at {} of {} points no epoch betters the linear discriminants that the fit "
                  "sets out from: the gate is the same there",
                  unmoved, points.size()));
}

}  // namespace

Json run_sweep(const SweepOptions& options, const RunContext& context) {
  const Stopwatch watch;
  const std::vector<training::SweepPoint> points =
      training::sweep_grid(options.lambdas1, options.lambdas2);
  prepare(options);
  require_fp32(options, context.log);
  training::GateTrainingOptions settings = options.gate;
  settings.seed = options.seed;
  training::settle_for(options.compute.device, settings, context.log);
  training::validate(settings);
  check_top_k(options.registry, settings.top_k);
  const fs::path folder = options.out.value_or(registry::sweep_folder(options.registry));
  if (leads(context.ranks))
    make_output_folder(folder, {"points.jsonl", "sweep.json", "sweep.csv", "sweep.html"});
  const std::vector<data::Dataset> datasets =
      read_datasets(with_registry(options.data, options.registry), "train", context.log);
  data::require_held_out(datasets);
  pipeline::Pool pool(pool_options(options, context));
  share_work(pool, {&datasets}, options, asked_for(options, settings));
  const training::GateInputs inputs = training::collect_gate_inputs(pool, datasets, settings);
  if (!leads(context.ranks)) {
    training::finish_points(inputs, points, options.compute, context, nullptr);
    return nullptr;
  }
  const std::string digest = training::sweep_digest(pool, datasets, inputs);
  const FileLock lock =
      FileLock::claim(folder / "lock", "wait for it, or name another folder with --out");
  training::FinishedPoints finished(folder / "points.jsonl", digest, context.log);
  const Stopwatch fit_watch;
  training::finish_points(inputs, points, options.compute, context, &finished);
  const double fit_seconds = fit_watch.seconds();
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);

  Json list = Json::array();
  for (const training::SweepPoint& point : points) list.push_back(finished.at(point));
  note_unmoved(list, context.log);
  const bool agnostic = fusion::is_task_agnostic(settings.fusion);
  Json result = {
      {"schema", evaluation::kSweepSchema},
      {"digest", digest},
      {"judged_by", agnostic ? "accuracy" : "accuracy_task_aware"},
      {"texts",
       training::validation_split(inputs.data.held_out.rows(), settings.seed).validation.size()},
      {"points", list},
      {"folder", folder.string()},
      {"fit_seconds", fit_seconds},
      {"seconds", watch.seconds()}};
  result.update(evaluation::sweep_summary(result));
  write_results(folder, result);
  return result;
}

}  // namespace moecollab::engine
