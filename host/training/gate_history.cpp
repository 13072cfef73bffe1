#include "training/gate_history.h"

#include <cmath>

#include "registry/layout.h"

namespace moecollab::training {
namespace {

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json usage_json(const GateJudgement& judged, const std::vector<std::string>& experts) {
  Json load = Json::object();
  for (size_t e = 0; e < judged.load.size(); ++e) load[experts[e]] = number_or_null(judged.load[e]);
  return {{"entropy", judged.entropy},
          {"load", load},
          {"n_eff", number_or_null(judged.n_eff)},
          {"n_eff_target", number_or_null(judged.n_eff_target)},
          {"n_eff_ratio", number_or_null(judged.n_eff / judged.n_eff_target)},
          {"n_eff_experts", number_or_null(judged.n_eff_experts)},
          {"utilisation",
           {{"soft", number_or_null(judged.utilisation.soft)},
            {"hard", number_or_null(judged.utilisation.hard)}}}};
}

}  // namespace

Json to_json(const GateJudgement& judged, const std::vector<std::string>& domains,
             const std::vector<std::string>& experts) {
  Json by_domain = Json::object();
  for (size_t d = 0; d < judged.domain_accuracy.size(); ++d) {
    by_domain[domains[d]] = {
        {"accuracy", number_or_null(judged.domain_accuracy[d])},
        {"accuracy_task_aware", number_or_null(judged.domain_accuracy_task_aware[d])}};
  }
  Json json = {{"accuracy", number_or_null(judged.accuracy)},
               {"accuracy_task_aware", number_or_null(judged.accuracy_task_aware)},
               {"domains", by_domain},
               {"task", number_or_null(judged.task)},
               {"balance", number_or_null(judged.balance)},
               {"total", number_or_null(judged.total)}};
  json.update(usage_json(judged, experts));
  return json;
}

Json to_json(const GateEpoch& epoch, const std::vector<std::string>& domains,
             const std::vector<std::string>& experts) {
  Json terms = {{"task", epoch.terms.task},
                {"routing", epoch.terms.routing},
                {"entropy", epoch.terms.entropy},
                {"balance", epoch.terms.balance},
                {"total", epoch.terms.total}};
  for (const auto& [name, value] : epoch.terms.further) terms[name] = value;
  Json json = {{"phase", epoch.refit ? "refit" : "choose"},
               {"epoch", epoch.epoch},
               {"terms", terms},
               {"held_out", nullptr},
               {"usage", nullptr}};
  if (epoch.judged) {
    if (!epoch.refit) json["held_out"] = to_json(*epoch.judged, domains, experts);
    json["usage"] = usage_json(*epoch.judged, experts);
  }
  json["texts"] = epoch.texts;
  json["skipped_steps"] = epoch.skipped_steps;
  json["seconds"] = epoch.seconds;
  json["peak_rss_bytes"] = epoch.peak_rss_bytes;
  return json;
}

void write_history(const fs::path& folder, const std::vector<GateEpoch>& history,
                   const std::vector<std::string>& domains,
                   const std::vector<std::string>& experts) {
  std::string lines;
  for (const GateEpoch& epoch : history) lines += to_line(to_json(epoch, domains, experts)) + "\n";
  const fs::path file = registry::gate_history(folder);
  make_folder(file.parent_path());
  write_file_atomic(file, lines);
}

}  // namespace moecollab::training
