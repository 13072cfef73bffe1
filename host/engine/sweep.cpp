// The verb sweep: λ1 × λ2 over features and expert outputs that are collected once.
#include "training/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "base/digest.h"
#include "base/error.h"
#include "base/file_lock.h"
#include "base/strings.h"
#include "base/version.h"
#include "engine/gate_history.h"
#include "engine/gate_inputs.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "evaluation/sweep_report.h"
#include "pipeline/instantiate.h"

namespace moecollab::engine {
namespace {

constexpr uint64_t kMaxPoints = 64 << 20;  // bytes of points.jsonl
constexpr size_t kMostPoints = 10'000;

// Design page 6: the paper's range with λ = 0.
const std::vector<double> kDefaultLambdas = {0,    0.001, 0.01, 0.02, 0.03, 0.04,
                                             0.05, 0.06,  0.07, 0.08, 0.09, 0.10};

using Key = std::pair<double, double>;

// Sorted, each once.
std::vector<double> values(const char* option, const std::vector<double>& given) {
  std::vector<double> values = given.empty() ? kDefaultLambdas : given;
  for (const double value : values) {
    if (!(value >= 0 && value <= gate::kMaxTermWeight)) {
      throw Error("E_CONFIG", fmt::format("--{} has {}, expected numbers from 0 to {:g}", option,
                                          value, gate::kMaxTermWeight));
    }
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

// All pairs, and (0, 0), which every change is told against.
std::vector<training::SweepPoint> grid(const SweepOptions& options) {
  std::vector<training::SweepPoint> points;
  const std::vector<double> first = values("lambda1", options.lambdas1);
  const std::vector<double> second = values("lambda2", options.lambdas2);
  if (first.size() * second.size() > kMostPoints) {
    throw Error("E_CONFIG", fmt::format("{} × {} points are more than the {} that a sweep takes",
                                        first.size(), second.size(), kMostPoints));
  }
  for (const double lambda1 : first) {
    for (const double lambda2 : second) points.push_back({lambda1, lambda2});
  }
  const bool reference = first.front() == 0 && second.front() == 0;
  if (!reference) points.insert(points.begin(), {0, 0});
  return points;
}

// All that a point's figures depend on beside its λ: what makes two points comparable.
std::string digest_of(const GateInputs& inputs, const SweepOptions& options) {
  Json key = {{"version", kVersion},
              {"engine", pipeline::engine_version(options.compute)},
              {"encoder", inputs.pool->encoder()->fingerprint()},
              {"fusion", options.fusion},
              {"top_k", options.top_k},
              {"epochs", options.epochs},
              {"lr", options.lr},
              {"weight_decay", options.weight_decay},
              {"batch", options.batch},
              {"seed", options.seed},
              {"entropy_sign", options.entropy_sign},
              {"prior", inputs.training.prior},
              {"balance_window", options.balance_window},
              {"free_bits", options.free_bits},
              {"switch", options.switch_load},
              {"importance_cv2", options.importance_cv2},
              {"z_loss", options.z_loss},
              {"optimizer", options.optimizer},
              {"gate", options.gate},
              {"hidden", options.hidden},
              {"data", Json::array()},
              {"experts", Json::array()},
              {"features", Json::array()}};
  for (const data::Dataset& dataset : inputs.datasets)
    key["data"].push_back({dataset.domain, dataset.sha256});
  for (size_t e = 0; e < inputs.labels.size(); ++e) {
    const pipeline::InstalledExpert& expert = inputs.pool->experts()[e];
    key["experts"].push_back({expert.name, expert.sha256(), inputs.labels[e].temperature});
  }
  for (const encoder::PooledKey& feature : inputs.features)
    key["features"].push_back({feature.layer, encoder::name(feature.pooling)});
  return sha256_hex(to_line(key));
}

// points.jsonl: a line a finished point, each with the digest of the run that it belongs to.
class FinishedPoints {
 public:
  FinishedPoints(fs::path file, std::string digest, Log log)
      : file_(std::move(file)), digest_(std::move(digest)) {
    if (!fs::exists(file_)) return;
    const std::string bytes = read_file(file_, "E_CKPT", kMaxPoints);
    size_t others = 0;
    for (size_t at = 0; at < bytes.size();) {
      const size_t end = std::min(bytes.find('\n', at), bytes.size());
      others += read_line(std::string_view(bytes).substr(at, end - at)) ? 0 : 1;
      at = end + 1;
    }
    if (others > 0) {
      log.note(
          fmt::format("{}: {} points are of other data, experts or options and are computed anew",
                      escaped(file_.string()), others));
    }
    if (!points_.empty()) log.note(fmt::format("{} points are there already", points_.size()));
  }

  bool contains(const training::SweepPoint& point) const {
    return points_.contains({point.lambda1, point.lambda2});
  }
  const Json& at(const training::SweepPoint& point) const {
    return points_.at({point.lambda1, point.lambda2});
  }
  // The whole file anew each time: a sweep that is killed leaves whole lines only.
  void add(const training::SweepPoint& point, Json json) {
    json["digest"] = digest_;
    points_[{point.lambda1, point.lambda2}] = std::move(json);
    std::string lines;
    for (const auto& [key, finished] : points_) lines += to_line(finished) + "\n";
    write_file_atomic(file_, lines);
  }

 private:
  // False for a line of another run.
  bool read_line(std::string_view line) {
    try {
      Json json = parse_json(line);
      if (json.at("digest").get<std::string>() != digest_) return false;
      const std::pair point(json.at("lambda1").get<double>(), json.at("lambda2").get<double>());
      points_[point] = std::move(json);
      return true;
    } catch (const std::exception& error) {
      throw Error("E_CKPT",
                  fmt::format("{}: a line is no finished point: {}", escaped(file_.string()),
                              escaped(error.what())),
                  "remove the file, or name another folder with --out");
    }
  }

  fs::path file_;
  std::string digest_;
  std::map<Key, Json> points_;
};

Json point_json(const training::SweepResult& result, const std::vector<std::string>& domains,
                const std::vector<std::string>& experts) {
  Json json = {{"lambda1", result.point.lambda1},
               {"lambda2", result.point.lambda2},
               {"epochs", result.epochs},
               {"skipped_steps", result.skipped_steps},
               {"seconds", result.seconds},
               {"failure", result.judged ? Json(nullptr) : Json(result.failure)},
               {"held_out", nullptr}};
  if (result.judged) json["held_out"] = to_json(*result.judged, domains, experts);
  return json;
}

fs::path make_output_folder(const SweepOptions& options) {
  const fs::path folder = options.out.value_or(options.registry / "sweep");
  make_folder(folder);
  for (const char* name : {"points.jsonl", "sweep.json", "sweep.csv", "sweep.html"})
    require_writable(folder / name);
  return folder;
}

void run_missing(const GateInputs& inputs, int threads,
                 const std::vector<training::SweepPoint>& points, FinishedPoints& finished) {
  std::vector<training::SweepPoint> missing;
  for (const training::SweepPoint& point : points) {
    if (!finished.contains(point)) missing.push_back(point);
  }
  if (missing.empty()) return;
  std::vector<std::string> domains;
  for (const data::Dataset& dataset : inputs.datasets) domains.push_back(dataset.domain);
  const std::vector<std::string> experts = inputs.expert_names();
  const training::GateProblem problem = inputs.problem();
  const RunContext& context = inputs.pool->context();
  Progress progress = context.progress("sweeping", "point", static_cast<int64_t>(missing.size()));
  training::run_sweep(problem, inputs.training, missing, threads, context.stop,
                      [&](const training::SweepResult& result) {
                        finished.add(result.point, point_json(result, domains, experts));
                        progress.advance();
                      });
}

}  // namespace

Json run_sweep(const SweepOptions& options, const RunContext& context) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<training::SweepPoint> points = grid(options);
  fs::path folder;
  const GateInputs inputs =
      prepare_gate(options, context, [&] { folder = make_output_folder(options); });
  const std::string digest = digest_of(inputs, options);
  const FileLock lock =
      FileLock::claim(folder / "lock", "wait for it, or name another folder with --out");
  FinishedPoints finished(folder / "points.jsonl", digest, context.log);
  const auto fit_start = std::chrono::steady_clock::now();
  run_missing(inputs, options.compute.threads, points, finished);
  const auto end = std::chrono::steady_clock::now();
  for (const data::Dataset& dataset : inputs.datasets) data::require_unchanged(dataset);

  Json list = Json::array();
  for (const training::SweepPoint& point : points) {
    list.push_back(finished.at(point));
    list.back().erase("digest");
  }
  const bool agnostic = fusion::is_task_agnostic(inputs.training.fusion);
  Json result = {
      {"schema", "moecollab.sweep/1"},
      {"digest", digest},
      {"judged_by", agnostic ? "accuracy" : "accuracy_task_aware"},
      {"texts",
       training::validation_split(inputs.data.held_out.z.size(0), options.seed).validation.size()},
      {"points", list},
      {"folder", folder.string()},
      {"fit_seconds", std::chrono::duration<double>(end - fit_start).count()},
      {"seconds", std::chrono::duration<double>(end - start).count()}};
  result.update(evaluation::sweep_summary(result));
  write_file_atomic(folder / "sweep.json", to_text(result));
  write_file_atomic(folder / "sweep.csv", evaluation::sweep_csv(result));
  write_file_atomic(folder / "sweep.html", evaluation::sweep_html(result));
  return result;
}

}  // namespace moecollab::engine
