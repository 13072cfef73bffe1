#include "evaluation/diagnosis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/strings.h"
#include "evaluation/gate_mass.h"
#include "evaluation/gate_usage.h"
#include "evaluation/metrics.h"

namespace moecollab::evaluation {
namespace {

using Findings = std::vector<Finding>;

// The standard error of an accuracy over n texts, two right and two wrong ones added (Agresti and
// Coull 1998), so that a few right answers do not count as certain.
double error_of(double accuracy, double n) {
  const double p = (accuracy * n + 2) / (n + 4);
  return std::sqrt(p * (1 - p) / (n + 4));
}

// What each expert says of all domains of its space.
struct Own {
  std::vector<int> truth, answer;
  std::vector<double> confidence;

  double n() const { return static_cast<double>(truth.size()); }
  bool enough() const { return std::ssize(truth) >= kLeastTexts; }
  double accuracy() const { return evaluation::accuracy(truth, answer); }
  double mean_confidence() const {
    return std::accumulate(confidence.begin(), confidence.end(), 0.0) / n();
  }
};

std::map<int, Own> own_answers(const Figures& figures) {
  std::map<int, Own> all;
  for (const DomainFigures& domain : figures.domains) {
    for (const OwnAnswers& part : domain.own) {
      Own& own = all[part.expert];
      own.truth.insert(own.truth.end(), part.truth.begin(), part.truth.end());
      own.answer.insert(own.answer.end(), part.answer.begin(), part.answer.end());
      own.confidence.insert(own.confidence.end(), part.confidence.begin(), part.confidence.end());
    }
  }
  return all;
}

void find_collapse(const GateMass& mass, Findings& findings) {
  const double used = n_eff(mass.spaces), target = n_eff_target(mass.texts_of_space);
  const double texts = std::accumulate(mass.texts_of_space.begin(), mass.texts_of_space.end(), 0.0);
  const double spread = (used - 1) / (target - 1);  // NaN for texts of one space
  if (texts < kLeastTexts || !(spread < kLeastSpread)) return;
  findings.push_back(
      {"collapse", "", spread, kLeastSpread,
       fmt::format("the gate uses {:.2f} label spaces of the {:.2f} that these texts are from",
                   used, target),
       "lower lambda1, raise lambda2, or fit without both: `moecollab train-gate`, `sweep`"});
}

void find_dead(const Figures& figures, const GateMass& mass, Findings& findings) {
  const std::vector<double> loads = load(mass.spaces, mass.texts_of_space);
  for (const int space : dead(loads)) {
    const auto s = static_cast<size_t>(space);
    if (mass.texts_of_space[s] < kLeastTexts) continue;
    findings.push_back(
        {"dead-space", figures.labels.spaces()[s].name, loads[s], kDeadLoad,
         fmt::format("its experts get {:.1f} % of the weight that its {:.0f} texts call for",
                     100 * loads[s], mass.texts_of_space[s]),
         "fit the gate again with training texts of that domain: `moecollab train-gate`, `grow`"});
  }
}

// By the shares before top-k and caps: an expert that only these hold down is one that the gate
// would use.
void find_idle(const Figures& figures, const GateMass& mass, Findings& findings) {
  Profile all;
  for (const DomainFigures& domain : figures.domains) all.add(domain.profile);
  std::vector<double> shares;
  for (const std::string& expert : figures.gate.experts) shares.push_back(all.load[expert]);
  const std::vector<double> loads = load(shares, mass.ideal);
  for (size_t e = 0; e < loads.size(); ++e) {
    const auto space = static_cast<size_t>(figures.gate.space_of_expert[e]);
    if (mass.texts_of_space[space] < kLeastTexts || !(loads[e] < kIdleShare)) continue;
    findings.push_back({"idle-expert", figures.gate.experts[e], loads[e], kIdleShare,
                        fmt::format("the gate gives it {:.1f} % of an equal share of the texts of "
                                    "its space",
                                    100 * loads[e]),
                        "`moecollab ablate --only single,experts` says what it is worth; remove "
                        "it, or train it on more texts"});
  }
}

// Hardly better than the label that is most frequent in these texts. The error is that of paired
// answers, with half a text more in each cell that differs (Agresti and Min 2005).
void find_underfitted(const std::string& name, const Own& own, Findings& findings) {
  std::map<int, int64_t> counts;
  for (const int label : own.truth) ++counts[label];
  const int usual =
      std::ranges::max_element(counts, {}, [](const auto& c) { return c.second; })->first;
  const std::vector<int> majority(own.truth.size(), usual);
  const double base = accuracy(own.truth, majority), gain = own.accuracy() - base;
  const McNemar pair = mcnemar(own.truth, majority, own.answer);
  const auto differing = static_cast<double>(pair.fixed + pair.broke + 1);
  const double error = std::sqrt(differing - gain * gain * own.n()) / own.n();
  if (gain + kZ95 * error >= kLeastGain) return;
  findings.push_back(
      {"underfitted-expert", name, gain, kLeastGain,
       fmt::format(
           "alone it is right on {:.1f} % of its {:.0f} texts; one label for all is right on "
           "{:.1f} %",
           100 * own.accuracy(), own.n(), 100 * base),
       "train it on more texts or for more epochs, or take another kind of expert"});
}

void find_miscalibrated(const std::string& name, const Own& own, Findings& findings) {
  const double accuracy = own.accuracy(), gap = own.mean_confidence() - accuracy;
  if (std::abs(gap) - kZ95 * error_of(accuracy, own.n()) <= kConfidenceGap) return;
  findings.push_back({gap > 0 ? "overconfident-expert" : "underconfident-expert", name, gap,
                      gap > 0 ? kConfidenceGap : -kConfidenceGap,
                      fmt::format("it is {:.1f} % sure of its answers, and right on {:.1f} %",
                                  100 * own.mean_confidence(), 100 * accuracy),
                      "fit its temperature: `moecollab train-gate --calibrate`"});
}

void find_leak(const Figures& figures, int expert, const Own& own, Findings& findings) {
  const auto e = static_cast<size_t>(expert);
  const double held_out = figures.gate.held_out_accuracy[e];
  const auto texts = static_cast<double>(figures.gate.held_out_texts[e]);
  if (std::isnan(held_out) || texts == 0 || figures.gate.top_k != 0) return;
  const double accuracy = own.accuracy(), gap = held_out - accuracy;
  const double error = std::hypot(error_of(accuracy, own.n()), error_of(held_out, texts));
  if (gap - kZ95 * error <= kHeldOutGap) return;
  findings.push_back(
      {"leaky-hold-out", figures.gate.experts[e], gap, kHeldOutGap,
       fmt::format(
           "it is right on {:.1f} % of the held-out training texts, and on {:.1f} % of these",
           100 * held_out, 100 * accuracy),
       "it may have trained on them, if it came without held-out logits (`train-gate` warns of "
       "such); else look for near duplicates in the training file (`moecollab data check`), or for "
       "texts of another kind in these; weights and temperatures rest on the held-out texts"});
}

// It is about the narrowest expert beside the widest.
void find_padded(const Figures& figures, Findings& findings) {
  const Json& padding = figures.gate.padding;
  if (padding.is_null()) return;
  const bool paper = padding["padded_share"].get<double>() > 0;
  const double share = padding[paper ? "padded_share" : "foreign_share"].get<double>();
  if (share <= kPaddedShare) return;
  findings.push_back(
      {"padded-gradients", padding["fusion"].get<std::string>(), share, kPaddedShare,
       paper ? fmt::format("of an expert of {} classes beside one of {}, {:.0f} % of the squared "
                           "gradient goes into columns that it does not have",
                           padding["classes"][0].get<int>(), padding["classes"][1].get<int>(),
                           100 * share)
             : fmt::format("of an expert of {} classes beside one of {}, {:.0f} % of the squared "
                           "gradient comes from texts of the other label space",
                           padding["classes"][0].get<int>(), padding["classes"][1].get<int>(),
                           100 * share),
       figures.gate.fitted_fusion == padding["fusion"].get<std::string>()
           ? "fit the gate under mixture: `moecollab train-gate --fusion mixture`"
           : "leave --fusion out, or take mixture"});
}

void find_unsteady(const RoutingProbes& probes, Findings& findings) {
  if (probes.batch_change > kBatchChange) {
    findings.push_back(
        {"batch-dependent-routing", "", probes.batch_change, kBatchChange,
         fmt::format(
             "a share moves by {:.2g} if its text is encoded alone; {:.1f} % of {} texts go "
             "to another label space",
             probes.batch_change, 100 * probes.batch_moved, probes.texts),
         "compute in fp32 on the CPU and compare; if it stays, it is a defect of this program: "
         "report it"});
  }
  const double error = error_of(probes.edits_moved, static_cast<double>(probes.edits));
  if (probes.edits_moved - kZ95 * error <= kEditsMoved) return;
  findings.push_back(
      {"unstable-routing", "", probes.edits_moved, kEditsMoved,
       fmt::format(
           "{:.1f} % of {} texts with a full stop or two letters changed go to another label "
           "space than the text itself",
           100 * probes.edits_moved, probes.edits),
       "fit the gate on more texts, with a greater weight_decay, or without lambda1"});
}

void find_drift(const Drift& drift, Findings& findings) {
  if (drift.texts < kLeastTexts) return;
  const auto add = [&](const char* subject, const char* what, const Shift& shift) {
    if (!shift.is_drift()) return;
    findings.push_back({"drift", subject, shift.psi, std::max(kDriftPsi, shift.band.high),
                        fmt::format("{} differs from that of the texts that the gate was fitted "
                                    "on: now (then) {}",
                                    what, describe(shift)),
                        "look at what these texts are; fit experts and gate on texts like them: "
                        "`moecollab train-expert`, `train-gate`"});
  };
  add("load", "the weight of the experts", drift.load);
  add("entropy", "the entropy of a text's shares, of ln E,", drift.entropy);
  if (drift.answers) add("answers", "what is answered", *drift.answers);
}

}  // namespace

std::vector<Finding> diagnose(const Figures& figures) {
  Findings findings;
  const GateMass mass = gate_mass(figures);
  find_collapse(mass, findings);
  find_dead(figures, mass, findings);
  find_idle(figures, mass, findings);
  const std::map<int, Own> all = own_answers(figures);
  for (const auto& [expert, own] : all)
    if (own.enough())
      find_underfitted(figures.gate.experts[static_cast<size_t>(expert)], own, findings);
  for (const auto& [expert, own] : all)
    if (own.enough())
      find_miscalibrated(figures.gate.experts[static_cast<size_t>(expert)], own, findings);
  for (const auto& [expert, own] : all)
    if (own.enough()) find_leak(figures, expert, own, findings);
  find_padded(figures, findings);
  if (figures.gate.probes) find_unsteady(*figures.gate.probes, findings);
  if (figures.drift) find_drift(*figures.drift, findings);
  return findings;
}

}  // namespace moecollab::evaluation
