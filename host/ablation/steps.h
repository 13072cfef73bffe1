// The steps of an ablation, and how those that are missing are computed.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ablation/impact.h"
#include "ablation/judge.h"
#include "ablation/refit.h"
#include "ablation/upgraded_pool.h"
#include "base/finished_lines.h"
#include "base/run_context.h"

namespace moecollab::ablation {

struct Step {
  std::string group, name;
  Json gate = nullptr, kind = nullptr;
  std::function<Way(const RunContext&)> way;  // none: `padding`
  std::function<Json()> gradients = {};
  GateFeatures features = {};     // of a gate that is fitted again, if other than the settings say
  std::optional<int> space = {};  // told the domain, on the texts of this space alone
  std::optional<Upgrade> upgrade = {};

  Json line() const {
    Json line = {{"group", group}, {"name", name}, {"gate", gate}, {"kind", kind}};
    if (upgrade) {
      line["version"] = upgrade->version.text();
      line["package"] = upgrade->sha256;
    }
    return line;
  }
  // Whether it fits a gate or opens a pool, which takes far longer than an answer.
  bool is_long() const { return upgrade || gate == kRefitted; }
};

// The lines of all steps, by step_key(). Those that `finished` holds are taken over, each of the
// others is added to it as it ends. `run` computes a line alone, on the rank that it was dealt to;
// before that all ranks together call `collect` for every missing step, if there are several. Only
// the first rank has `finished` and gets the lines; the others have nullptr and get none.
std::map<std::string, Json> finish_steps(const std::vector<Step>& steps,
                                         const std::function<void(const Step&)>& collect,
                                         const std::function<Json(const Step&)>& run,
                                         FinishedLines* finished, const RunContext& context);

}  // namespace moecollab::ablation
