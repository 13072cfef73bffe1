// All texts together, and the paired tests on them.
#include <fmt/format.h>

#include <cmath>
#include <optional>

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

// A bin without texts is left out.
Json reliability_json(const std::vector<double>& confidence, const std::vector<int>& correct) {
  const std::vector<ReliabilityBin> bins = reliability(confidence, correct);
  Json json = Json::array();
  for (size_t b = 0; b < bins.size(); ++b) {
    if (bins[b].n == 0) continue;
    const auto width = 1 / static_cast<double>(bins.size());
    json.push_back({{"low", static_cast<double>(b) * width},
                    {"high", static_cast<double>(b + 1) * width},
                    {"n", bins[b].n},
                    {"confidence", bins[b].confidence},
                    {"accuracy", bins[b].accuracy}});
  }
  return json;
}

// From a twentieth of the texts, those of highest confidence, to all.
Json coverage_curve_json(const std::vector<double>& confidence, const std::vector<int>& correct) {
  constexpr int kPoints = 20;
  Json json = Json::array();
  for (int i = 1; i <= kPoints; ++i) {
    const double share = static_cast<double>(i) / kPoints;
    json.push_back(
        {{"coverage", share}, {"accuracy", coverage_accuracy(confidence, correct, share)}});
  }
  return json;
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
  overall["reliability"] = reliability_json(confidence, correct);
  overall["coverage_curve"] = coverage_curve_json(confidence, correct);
  overall["mcnemar"] = mcnemar_json(domains, truth, answer);
}

// Whether the texts of this domain would stand out among all others by the gate's entropy, if the
// gate had no expert of their label space. Nothing without texts of another space.
std::optional<double> unknown_auroc(const Domains& domains, const DomainFigures& unknown) {
  const auto space = static_cast<size_t>(unknown.space);
  std::vector<double> entropies;
  std::vector<int> is_unknown;
  for (const DomainFigures& domain : domains) {
    if (&domain != &unknown && domain.space == unknown.space) continue;
    if (space >= domain.entropy_without.size()) return std::nullopt;
    const std::vector<double>& scores = domain.entropy_without[space];
    entropies.insert(entropies.end(), scores.begin(), scores.end());
    is_unknown.insert(is_unknown.end(), scores.size(), &domain == &unknown ? 1 : 0);
  }
  const double area = auroc(entropies, is_unknown);
  return std::isnan(area) ? std::nullopt : std::optional(area);
}

Json unknown_domain_json(const Domains& domains) {
  Json each = Json::object();
  double sum = 0;
  int count = 0;
  for (const DomainFigures& domain : domains) {
    const auto area = unknown_auroc(domains, domain);
    each[domain.domain] = area ? Json(*area) : Json(nullptr);
    if (!area) continue;
    sum += *area;
    ++count;
  }
  return {{"score", "gate entropy"},
          {"auroc", each},
          {"mean", count > 0 ? Json(sum / count) : Json(nullptr)}};
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
      {"reliability", Json::array()},
      {"coverage_curve", Json::array()},
      {"mcnemar", Json::array()},
      {"unknown_domain", unknown_domain_json(domains)},
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

Content unknown_domains(const Json& report) {
  const Json& auroc = object_at(report, {"overall", "unknown_domain", "auroc"});
  Table table{{{"Left-out domain"}, {"AUROC", true}}, {}};
  for (const auto& [domain, area] : auroc.items())
    table.rows.push_back({{domain}, {score(number_at(auroc, {domain}))}});
  return table;
}

// One series of an array of objects: `y` of each over its `x`.
Series curve(std::string name, const Json& entries, std::string_view x, std::string_view y) {
  Series series{std::move(name), {}};
  for (const Json& entry : entries) {
    const auto at = number_at(entry, {x});
    if (!at) continue;
    series.x.push_back(*at);
    series.values.push_back(number_at(entry, {y}));
  }
  return series;
}

// What confidence is worth.
Content confidence_charts(const Json& report) {
  const Json& bins = array_at(report, {"overall", "reliability"});
  Chart reliable{"Reliability of the confidence",
                 "Texts in bins of confidence: on the dashed line, answers are as sure as right.",
                 {curve("texts", bins, "confidence", "accuracy"),
                  {"as sure as right", {0.0, 1.0}, {0, 1}, true}}};
  reliable.x_title = "mean confidence";
  reliable.y_title = "accuracy";
  reliable.least = 0;
  reliable.greatest = 1;
  Chart covered{"Accuracy of the surest answers",
                "The share of the texts whose answers have the highest confidence.",
                {curve("MoECollab", array_at(report, {"overall", "coverage_curve"}), "coverage",
                       "accuracy")}};
  covered.x_title = "coverage";
  covered.y_title = "accuracy";
  covered.greatest = 1;
  return std::vector{std::move(reliable), std::move(covered)};
}

constexpr Part kOverallParts[] = {
    {"", "", &key_figures, {.markdown = 10, .html = 10}},
    {"Paired comparisons",
     "McNemar's z on the same texts; beyond ±1.96 the difference is significant at 95 %. Expert: "
     "both are told the domain; oracle: only it is.",
     &paired_comparisons,
     {.markdown = 40, .html = 40}},
    {"Unknown domains",
     "How well the gate's entropy tells a domain's texts from all others if the gate does not know "
     "its label space: 1 always, 0.5 no better than chance.",
     &unknown_domains,
     {.markdown = 42, .html = 42}},
    {"", "", &confidence_charts, {.html = 44, .beside = true}},
};

}  // namespace

Section overall_section() { return {"overall", &overall_json, kOverallParts}; }

}  // namespace moecollab::evaluation
