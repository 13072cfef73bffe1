#include "engine/monitor.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "evaluation/diagnosis.h"
#include "evaluation/drift.h"
#include "evaluation/monitor_file.h"

namespace moecollab::engine {

Monitor::Monitor(fs::path file, int64_t window, const evaluation::FittedProfiles& fitted,
                 std::vector<std::string> experts, std::string gate_sha256, Log log)
    : file_(std::move(file)),
      window_(window),
      reference_(evaluation::together(fitted.profiles)),
      experts_(std::move(experts)),
      gate_sha256_(std::move(gate_sha256)),
      log_(log) {
  if (window < evaluation::kLeastTexts) {
    throw Error("E_CONFIG", fmt::format("monitor-window is {}, expected at least {}", window,
                                        evaluation::kLeastTexts));
  }
  if (!fitted.missing.empty())
    throw Error("E_GATE", "--monitor has nothing to compare with: " + fitted.missing);
  require_writable(file_);
  evaluation::read_monitor(file_);
}

void Monitor::add(const pipeline::Prediction& prediction) {
  now_.add(experts_, prediction.gate,
           evaluation::answer_name(prediction.answer.space, prediction.answer.label));
  if (now_.texts >= static_cast<double>(window_)) compare();
}

void Monitor::finish() {
  if (now_.texts >= evaluation::kLeastTexts) {
    compare();
  } else if (now_.texts > 0) {
    log_.note(fmt::format("monitor: the last {} texts are too few to compare", now_.texts));
  }
}

void Monitor::keep(const evaluation::Drift& drift) try {
  if (is_kept_)
    append_line(file_, to_line(evaluation::monitor_line("predict", gate_sha256_, drift)));
} catch (const Error& error) {
  is_kept_ = false;
  log_.warning(fmt::format("monitor: {}; answering continues, and no more lines are written to it",
                           error.what()));
}

void Monitor::compare() {
  const evaluation::Drift drift = evaluation::find_drift(reference_, std::exchange(now_, {}));
  keep(drift);
  const auto warn = [&](const char* what, const evaluation::Shift& shift) {
    if (!shift.is_drift()) return;
    log_.warning(fmt::format("drift in the last {} texts: {}, now (at the gate's fit): {}",
                             drift.texts, what, describe(shift)),
                 "look at what these texts are; `moecollab eval --monitor` says what they cost");
  };
  warn("weight of the experts", drift.load);
  warn("entropy of a text's shares, of ln E", drift.entropy);
  if (drift.answers) warn("labels", *drift.answers);
}

void add_to_monitor(const fs::path& file, const std::string& gate_sha256,
                    evaluation::Figures& figures, Log log) {
  if (figures.drift) {
    append_line(file, to_line(evaluation::monitor_line("eval", gate_sha256, *figures.drift)));
  } else {
    log.warning(fmt::format("nothing was added to {}: {}", shown(file), figures.notes.back()));
  }
  for (Json& line : evaluation::read_monitor(file))
    if (line["gate"] == gate_sha256) figures.monitored.push_back(std::move(line));
}

}  // namespace moecollab::engine
