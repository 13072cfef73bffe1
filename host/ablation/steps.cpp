#include "ablation/steps.h"

#include <fmt/format.h>

#include "ablation/ablation.h"
#include "base/error.h"
#include "base/ranks.h"
#include "base/shared_parts.h"

namespace moecollab::ablation {
namespace {

// Long ones first, so that ranks that take one each have about as much to do.
std::vector<const Step*> dealt_order(const std::vector<Step>& steps) {
  std::vector<const Step*> order;
  for (const bool is_long : {true, false}) {
    for (const Step& step : steps)
      if (step.is_long() == is_long) order.push_back(&step);
  }
  return order;
}

}  // namespace

std::map<std::string, Json> finish_steps(const std::vector<Step>& steps,
                                         const std::function<void(const Step&)>& collect,
                                         const std::function<Json(const Step&)>& run,
                                         FinishedLines* finished, const RunContext& context) {
  const std::vector<const Step*> order = dealt_order(steps);
  std::map<std::string, Json> lines;
  if (finished != nullptr) {
    for (const Step& step : steps) {
      const std::string key = step_key(step.line());
      if (finished->contains(key)) lines[key] = finished->at(key);
    }
  }
  Progress progress = context.progress("ablating", "step", std::ssize(steps), std::ssize(lines));
  SharedParts parts;
  parts.unit = "step";
  parts.count = steps.size();
  parts.is_finished = [&](size_t part) { return lines.contains(step_key(order[part]->line())); };
  parts.prepare = [&](std::span<const size_t> missing) {
    if (!are_several(context.ranks)) return;
    for (const size_t part : missing) collect(*order[part]);
  };
  parts.compute = [&](std::span<const size_t> some, const SharedParts::Take& done) {
    for (const size_t part : some) {
      context.stop.throw_if_requested("a step was interrupted");
      done(part, run(*order[part]));
    }
  };
  parts.keep = [&](size_t part, const Json& line) {
    const Step& step = *order[part];
    if (step_key(line) != step_key(step.line())) {
      throw Error("E_DIST",
                  fmt::format("a rank was dealt the step {}, and hands back {}",
                              step_key(step.line()), step_key(line)),
                  "versions of experts were installed meanwhile; start the run again");
    }
    lines[step_key(line)] = line;
    // A version that is refused may be put right before the next run.
    if (!step.upgrade || line["failure"].is_null()) finished->add(line);
    progress.advance(1, step.group + " " + step.name);
  };
  finish_parts(parts, context.ranks);
  return lines;
}

}  // namespace moecollab::ablation
