// The points of a sweep: which there are, and those that are finished, on disk.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"
#include "base/finished_lines.h"
#include "base/json.h"
#include "base/run_context.h"
#include "data/dataset.h"
#include "pipeline/pool.h"
#include "training/gate_inputs.h"
#include "training/sweep.h"

namespace moecollab::training {

// All pairs of these λ1 and λ2, ascending, and (0, 0), which every change is measured against.
// Empty: the paper's range with λ = 0. Throws E_CONFIG for a λ outside 0 to gate::kMaxTermWeight,
// or for more than 10,000 pairs.
std::vector<SweepPoint> sweep_grid(const std::vector<double>& lambdas1,
                                   const std::vector<double>& lambdas2);

// SHA-256 of all that a point's figures depend on beside its λ: what makes two points comparable.
std::string sweep_digest(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
                         const GateInputs& inputs);

// The options that a point's figures depend on beside its λ, as they were asked for.
Json sweep_settings(const GateTrainingOptions& options);

// points.jsonl: a line a finished point, each with the digest of the sweep that it belongs to.
class FinishedPoints {
 public:
  // Reads the file if it is there; lines of other sweeps are left out (said). Throws E_CKPT for a
  // line that is no finished point.
  FinishedPoints(fs::path file, std::string digest, Log log);

  bool contains(const SweepPoint& point) const;
  // The line of a point that it contains, without the digest.
  Json at(const SweepPoint& point) const;
  void add(Json line) { lines_.add(std::move(line)); }

 private:
  FinishedLines lines_;
};

// Fits those of the points that are not finished, as many at a time as there are threads, and adds
// each as it ends. Several ranks deal the points out among them (finish_parts()); only the first
// has `finished`, the others have nullptr. Throws as run_sweep() and finish_parts().
void finish_points(const GateInputs& inputs, const std::vector<SweepPoint>& points,
                   const Compute& compute, const RunContext& context, FinishedPoints* finished);

}  // namespace moecollab::training
