// What the verbs that answer texts are asked to do; torch-free.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/options.h"
#include "evaluation/arrangement.h"
#include "fusion/mode.h"

namespace moecollab::engine {

struct AnsweringOptions : CommonOptions {
  std::optional<fusion::Mode> fusion;  // none: the gate's own
  std::optional<int64_t> top_k;
  bool strict = false;  // refuse experts that the gate was not fitted for; predict: bad lines, too
};

struct EvalOptions : AnsweringOptions {
  data::DataOptions data;
  evaluation::Arrangement arrangement = evaluation::Arrangement::kShared;
  bool diagnose = false;            // also probe how steady the routing is
  bool no_examples = false;         // quote no texts in the report
  std::optional<fs::path> monitor;  // file that gets a line on drift
};

struct AblateOptions : AnsweringOptions {
  data::DataOptions data;           // a folder: `split` judges, gates are fitted on train
  std::vector<std::string> groups;  // of ablation::kGroups; empty: all
  std::optional<fs::path> out;      // folder of the results; none: REGISTRY/ablation
};

struct PredictOptions : AnsweringOptions {
  std::vector<fs::path> files;  // none: standard input
  data::Reading reading;
  int max_latency_ms = 0;  // how long an incomplete batch waits for more texts
  int64_t batch = 256;     // texts answered together at most
  double unknown_risk = 0.05;
  bool explain = false;             // each expert's own answer beside the collaboration's
  std::optional<fs::path> monitor;  // file that gets a line on drift for each window of texts
  int64_t monitor_window = 1000;    // texts
};

}  // namespace moecollab::engine
