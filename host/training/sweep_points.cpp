#include "training/sweep_points.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/shared_parts.h"
#include "base/version.h"
#include "pipeline/instantiate.h"
#include "training/gate_history.h"

namespace moecollab::training {
namespace {

constexpr size_t kMostPoints = 10'000;

const std::vector<double> kDefaultLambdas = {0,    0.001, 0.01, 0.02, 0.03, 0.04,
                                             0.05, 0.06,  0.07, 0.08, 0.09, 0.10};

// Sorted, each once.
std::vector<double> values(const char* name, const std::vector<double>& given) {
  std::vector<double> values = given.empty() ? kDefaultLambdas : given;
  for (const double value : values) {
    if (!(value >= 0 && value <= gate::kMaxTermWeight)) {
      throw Error("E_CONFIG", fmt::format("{} has {}, expected numbers from 0 to {:g}", name, value,
                                          gate::kMaxTermWeight));
    }
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

Json line_of(const SweepResult& result, const GateInputs& inputs) {
  Json json = {{"lambda1", result.point.lambda1},
               {"lambda2", result.point.lambda2},
               {"epochs", result.epochs},
               {"skipped_steps", result.skipped_steps},
               {"seconds", result.seconds},
               {"failure", result.judged ? Json(nullptr) : Json(result.failure)},
               {"held_out", nullptr}};
  if (result.judged) json["held_out"] = to_json(*result.judged, inputs.domains(), inputs.experts);
  return json;
}

std::string key_of(const SweepPoint& point) {
  return fmt::format("{} {}", point.lambda1, point.lambda2);
}

}  // namespace

std::vector<SweepPoint> sweep_grid(const std::vector<double>& lambdas1,
                                   const std::vector<double>& lambdas2) {
  const std::vector<double> first = values("lambda1", lambdas1);
  const std::vector<double> second = values("lambda2", lambdas2);
  if (first.size() * second.size() > kMostPoints) {
    throw Error("E_CONFIG", fmt::format("{} × {} points are more than the {} that a sweep takes",
                                        first.size(), second.size(), kMostPoints));
  }
  std::vector<SweepPoint> points;
  for (const double lambda1 : first) {
    for (const double lambda2 : second) points.push_back({lambda1, lambda2});
  }
  const bool reference = first.front() == 0 && second.front() == 0;
  if (!reference) points.insert(points.begin(), {0, 0});
  return points;
}

Json sweep_settings(const GateTrainingOptions& options) {
  Json json = {{"fusion", fusion::name(options.fusion)},
               {"top_k", options.top_k},
               {"epochs", options.epochs},
               {"lr", options.lr},
               {"weight_decay", options.weight_decay},
               {"batch", options.batch},
               {"seed", options.seed},
               {"entropy_sign", gate::name(options.objective.entropy_sign)},
               {"prior", options.prior},
               {"balance_window", options.objective.balance_window},
               {"free_bits", options.objective.free_bits},
               {"switch", options.objective.switch_load},
               {"importance_cv2", options.objective.importance_cv2},
               {"z_loss", options.objective.z_loss},
               {"optimizer", name(options.optimizer)},
               {"gate", name(options.gate)},
               {"hidden", options.hidden}};
  if (!options.guard) json["guard"] = false;
  return json;
}

std::string sweep_digest(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
                         const GateInputs& inputs) {
  Json key = {{"version", kVersion},
              {"engine", pipeline::engine_version(pool.options().compute)},
              {"encoder", pool.encoder()->fingerprint()}};
  key.update(sweep_settings(inputs.options));
  key["data"] = Json::array();
  key["experts"] = Json::array();
  key["features"] = Json::array();
  for (const data::Dataset& dataset : datasets)
    key["data"].push_back({dataset.domain, data::digest_as_read(dataset)});
  for (size_t e = 0; e < inputs.labels.size(); ++e) {
    const pipeline::InstalledExpert& expert = pool.experts()[e];
    key["experts"].push_back({expert.name, expert.sha256(), inputs.labels[e].temperature});
  }
  for (const encoder::PooledKey& feature : inputs.features)
    key["features"].push_back({feature.layer, encoder::name(feature.pooling)});
  return sha256_hex(to_line(key));
}

FinishedPoints::FinishedPoints(fs::path file, std::string digest, Log log)
    : lines_(
          std::move(file), std::move(digest),
          [](const Json& line) {
            return key_of({line.at("lambda1").get<double>(), line.at("lambda2").get<double>()});
          },
          {"point", "remove the file, or sweep into another folder"}, log) {}

bool FinishedPoints::contains(const SweepPoint& point) const {
  return lines_.contains(key_of(point));
}

Json FinishedPoints::at(const SweepPoint& point) const { return lines_.at(key_of(point)); }

void finish_points(const GateInputs& inputs, const std::vector<SweepPoint>& points,
                   const Compute& compute, const RunContext& context, FinishedPoints* finished) {
  const at::Device device = encoder::to_torch(compute.device);
  std::optional<GateProblem> problem;
  Progress progress;
  SharedParts parts;
  parts.unit = "point";
  parts.count = points.size();
  // In rounds a device would pass over the texts more often.
  parts.at_once = are_fitted_together(device, inputs.options)
                      ? points.size()
                      : static_cast<size_t>(std::max(1, compute.threads));
  parts.is_finished = [&](size_t part) { return finished->contains(points[part]); };
  parts.prepare = [&](std::span<const size_t> missing) {
    problem.emplace(inputs.problem(context, device));
    progress = context.progress("sweeping", "point", std::ssize(missing));
  };
  parts.compute = [&](std::span<const size_t> some, const SharedParts::Take& done) {
    std::vector<SweepPoint> chosen;
    for (const size_t part : some) chosen.push_back(points[part]);
    run_sweep(*problem, inputs.options, chosen, compute.threads, context,
              [&](const SweepResult& result) {
                const auto at = std::ranges::find(points, result.point) - points.begin();
                done(static_cast<size_t>(at), line_of(result, inputs));
              });
  };
  parts.keep = [&](size_t, Json line) {
    finished->add(std::move(line));
    progress.advance();
  };
  finish_parts(parts, context.ranks);
}

}  // namespace moecollab::training
