// Watches what is answered for drift, and keeps what it sees (`predict --monitor`).
#pragma once

#include <string>
#include <vector>

#include "base/files.h"
#include "base/run_context.h"
#include "evaluation/figures.h"
#include "evaluation/fitted_profiles.h"
#include "pipeline/predictor.h"

namespace moecollab::engine {

class Monitor {
 public:
  // Compares every `window` texts with those that the gate was fitted on, in the proportions that
  // these had. Throws E_CONFIG for a window of too few texts, E_GATE if there is nothing to compare
  // with, and E_DATA for a file that is no monitor's.
  Monitor(fs::path file, int64_t window, const evaluation::FittedProfiles& fitted,
          std::vector<std::string> experts, std::string gate_sha256, Log log);

  // The predictions have the gate's shares. A file that cannot be written is warned about once, and
  // answering continues.
  void add(const pipeline::Prediction& prediction);
  // The texts after the last window, unless they are too few; also when the run is stopped.
  void finish();

 private:
  void compare();
  void keep(const evaluation::Drift& drift);

  fs::path file_;
  int64_t window_;
  evaluation::Profile reference_, now_;
  std::vector<std::string> experts_;
  std::string gate_sha256_;
  bool is_kept_ = true;  // false once the file could not be written
  Log log_;
};

// The same of an evaluation: adds its line to the file, and all lines of this gate to the figures.
// An evaluation without drift is warned about, and adds none.
void add_to_monitor(const fs::path& file, const std::string& gate_sha256,
                    evaluation::Figures& figures, Log log);

}  // namespace moecollab::engine
