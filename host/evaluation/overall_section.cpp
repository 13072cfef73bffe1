// All texts together, and the paired tests on them.
#include <fmt/format.h>

#include <cmath>

#include "evaluation/answer_scores.h"
#include "evaluation/metrics.h"
#include "evaluation/report_sections.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

using Domains = std::vector<DomainFigures>;

// McNemar's test against each system that answered every text.
Json mcnemar_json(const Domains& domains, const std::vector<int>& truth,
                  const std::vector<int>& answer) {
  Json tests = Json::array();
  const auto compare = [&](const char* name, std::vector<int> DomainFigures::*system,
                           const std::vector<int>& ours) {
    const std::vector<int> other = joined(domains, system);
    if (other.size() != truth.size()) return;
    Json entry = {{"vs", name}};
    entry.update(paired(truth, other, ours));
    tests.push_back(std::move(entry));
  };
  // An expert alone knows the domain, so it meets the answer that knows it too; `oracle` meets
  // the one that was not.
  compare("expert", &DomainFigures::expert_answer, joined(domains, &DomainFigures::answer_aware));
  compare("oracle", &DomainFigures::expert_answer, answer);
  compare("majority", &DomainFigures::majority, answer);
  compare("uniform_gate", &DomainFigures::uniform_gate, answer);
  compare("multi_task_head", &DomainFigures::multi_task_head, answer);
  compare("multi_task_deep", &DomainFigures::multi_task_deep, answer);
  return tests;
}

// What needs an answer over the union of labels.
void add_answered(const Figures& figures, const std::vector<int>& truth,
                  const std::vector<int>& answer, Json& overall) {
  const Domains& domains = figures.domains;
  double accuracy_sum = 0, f1_sum = 0;
  for (const DomainFigures& domain : domains) {
    accuracy_sum += accuracy(domain.truth, domain.answer);
    f1_sum += macro_f1(domain.truth, domain.answer, label_ids(figures.labels, domain.space));
  }
  const auto count = static_cast<double>(domains.size());
  const std::vector<double> confidence = joined(domains, &DomainFigures::confidence);
  const std::vector<int> correct = correctness(truth, answer);
  overall["accuracy"] = accuracy(truth, answer);
  overall["domain_mean"] = accuracy_sum / count;
  overall["macro_f1"] = f1_sum / count;
  overall["gap_to_oracle"] =
      overall["oracle_accuracy"].get<double>() - overall["accuracy"].get<double>();
  overall["ece"] = ece(confidence, correct);
  for (const double share : kCoverages)
    overall["coverage"][fmt::format("{:g}", share)] = coverage_accuracy(confidence, correct, share);
  overall["mcnemar"] = mcnemar_json(domains, truth, answer);
}

Json overall_json(const Figures& figures) {
  const Domains& domains = figures.domains;
  const std::vector<int> truth = joined(domains, &DomainFigures::truth),
                         answer = joined(domains, &DomainFigures::answer);
  double routed = 0;
  int64_t truncated = 0;
  for (const DomainFigures& domain : domains) {
    routed += routing_accuracy(figures, domain) * static_cast<double>(domain.truth.size());
    truncated += domain.truncated;
  }
  Json overall = {
      {"accuracy", nullptr},
      {"domain_mean", nullptr},
      {"macro_f1", nullptr},
      {"oracle_accuracy", accuracy(truth, joined(domains, &DomainFigures::expert_answer))},
      {"gap_to_oracle", nullptr},
      {"routing_accuracy", routed / static_cast<double>(truth.size())},
      {"accuracy_task_aware", accuracy(truth, joined(domains, &DomainFigures::answer_aware))},
      {"ece", nullptr},
      {"coverage", nullptr},
      {"mcnemar", Json::array()},
      {"truncated", truncated}};
  if (!answer.empty()) add_answered(figures, truth, answer, overall);
  return overall;
}

Content key_figures(const Json& report) {
  const auto overall = [&](std::string_view key) { return number_at(report, {"overall", key}); };
  const Json& coverage = object_at(report, {"overall", "coverage"});
  const auto at_90 = number_at(coverage, {"0.9"});
  return std::vector<KeyFigure>{
      {"Accuracy", score(overall("accuracy")), "all texts, domain not told"},
      {"Macro-F1", score(overall("macro_f1")), "mean of the domains"},
      {"Gap to oracle", score(overall("gap_to_oracle")),
       "oracle " + score(overall("oracle_accuracy"))},
      {"Routing", score(overall("routing_accuracy")), "texts sent to their own label space"},
      {"Calibration error", score(overall("ece")),
       at_90 ? "accuracy " + score(at_90) + " at 90 % coverage" : "15 bins"},
      {"Compute saved", percent(number_at(report, {"compute", "saved"})),
       decimal(number_at(report, {"compute", "encoder_forwards_per_text"}), 2) +
           " encoder passes per text"}};
}

Content paired_comparisons(const Json& report) {
  Table table{{{"MoECollab against"}, {"Fixed", true}, {"Broke", true}, {"z", true}, {"Reading"}},
              {}};
  for (const Json& pair : array_at(report, {"overall", "mcnemar"})) {
    const auto z = number_at(pair, {"z"});
    const bool significant = z && std::abs(*z) >= 1.96;
    const char* reading = !z             ? kNoValue
                          : !significant ? "no clear difference"
                          : *z > 0       ? "better"
                                         : "worse";
    table.rows.push_back(
        {{text_or_none(text_at(pair, {"vs"}))},
         {count(number_at(pair, {"fixed"}))},
         {count(number_at(pair, {"broke"}))},
         {z ? fmt::format("{:+.2f}", *z) : kNoValue},
         {reading, "", {}, significant && *z < 0 ? Tone::kWarning : Tone::kPlain}});
  }
  return table;
}

constexpr Part kOverallParts[] = {
    {"", "", &key_figures, {.markdown = 10, .html = 10}},
    {"Paired comparisons",
     "McNemar's z on the same texts; beyond ±1.96 the difference is significant at 95 %. Expert: "
     "both are told the domain; oracle: only it is.",
     &paired_comparisons,
     {.markdown = 40, .html = 40}},
};

}  // namespace

Section overall_section() { return {"overall", &overall_json, kOverallParts}; }

}  // namespace moecollab::evaluation
