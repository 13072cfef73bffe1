#include "contribution/judgement.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "training/calibration.h"

namespace moecollab::contribution {
namespace {

using pipeline::InstalledExpert;
using training::AnsweredTexts;

at::Tensor rows_of(const AnsweredTexts& texts, const std::string& domain) {
  return texts.rows_of(texts.index_of(domain));
}

at::Tensor rows_of_others(const AnsweredTexts& texts, const std::string& domain) {
  std::vector<int64_t> rows;
  const int left_out = texts.index_of(domain);
  for (size_t i = 0; i < texts.domain_of.size(); ++i) {
    if (texts.domain_of[i] != left_out) rows.push_back(static_cast<int64_t>(i));
  }
  return encoder::index_tensor(rows);
}

DomainChanges changes_of(const AnsweredTexts& texts, const at::Tensor& before,
                         const at::Tensor& after) {
  DomainChanges changes{paired_change(before, after), {}};
  for (const std::string& domain : texts.domains) {
    const at::Tensor index = rows_of(texts, domain);
    changes.domains.emplace_back(
        domain, paired_change(before.index_select(0, index), after.index_select(0, index)));
  }
  return changes;
}

OwnDomain own_domain(const Trial& trial, const AnsweredTexts& texts) {
  const AnsweredTexts own = texts.select(rows_of(texts, trial.candidate().domain()));
  const size_t e = trial.experts.size() - 1;
  return {
      own.rows(),
      training::right_alone(own, e, trial.expert_labels[e]).to(at::kDouble).mean().item<double>(),
      own.targets.bincount().max().item<double>() / static_cast<double>(own.rows())};
}

ForcedPool forced_pool(const Trial& trial, const AnsweredTexts& judged,
                       const std::optional<AnsweredTexts>& fit) {
  std::vector<fusion::ExpertLabels> labels = trial.expert_labels;
  if (fit) training::calibrate(fit->targets, fit->logits, labels);
  std::vector<int> spaces;
  std::vector<at::Tensor> answers;
  for (size_t e = 0; e < labels.size(); ++e) {
    spaces.push_back(labels[e].space);
    answers.push_back(over_union(judged.logits[e], labels[e], trial.labels.size()));
  }
  return {answers, std::move(spaces), judged.targets};
}

// Who is asked once the candidate is there, and who before.
std::vector<bool> with_candidate(const Trial& trial) {
  std::vector<bool> present(trial.experts.size(), true);
  if (trial.replaced) present[*trial.replaced] = false;
  return present;
}
std::vector<bool> without_candidate(const Trial& trial) {
  std::vector<bool> present(trial.experts.size(), true);
  present.back() = false;
  return present;
}

std::vector<ExpertContribution> contributions_of(const Trial& trial, const ForcedPool& pool,
                                                 int permutations, uint64_t seed) {
  const std::vector<bool> everybody = with_candidate(trial);
  const double whole = pool.accuracy(everybody);
  const std::vector<double> values =
      shapley(pool.experts(), permutations, seed, [&](std::vector<bool> present) {
        if (trial.replaced) present[*trial.replaced] = false;
        return pool.accuracy(present);
      });
  std::vector<ExpertContribution> contributions;
  for (size_t e = 0; e < pool.experts(); ++e) {
    if (!everybody[e]) continue;
    std::vector<bool> without = everybody;
    without[e] = false;
    contributions.push_back({trial.experts[e]->name, e + 1 == pool.experts(),
                             whole - pool.accuracy(without), values[e]});
  }
  return contributions;
}

std::vector<std::string> reasons_of(const PairedChange& forced, const OwnDomain& own,
                                    Verdict verdict) {
  std::vector<std::string> reasons;
  if (own.accuracy <= own.majority) {
    reasons.push_back(fmt::format(
        "its accuracy on its own domain, {:.4f}, is not above the majority class's {:.4f}",
        own.accuracy, own.majority));
  }
  if (forced.high < kMargin) {
    reasons.push_back(fmt::format(
        "with equal shares the pool changes by {:+.4f}, and at most {:+.4f} (95 %): below {}",
        forced.change, forced.high, kMargin));
  } else if (forced.low <= kMargin) {
    reasons.push_back(fmt::format(
        "with equal shares the pool changes by {:+.4f}, between {:+.4f} and {:+.4f} (95 % each): "
        "{} lies between",
        forced.change, forced.low, forced.high, kMargin));
  }
  if (verdict == Verdict::kAdmit) {
    reasons.push_back(
        fmt::format("with equal shares the pool changes by {:+.4f}, and at least "
                    "{:+.4f} (95 %): above {}",
                    forced.change, forced.low, kMargin));
  }
  return reasons;
}

// Indices into trial.experts: the experts of the fitted gate.
std::vector<size_t> routed_experts(const Trial& trial) {
  std::vector<size_t> indices;
  for (const InstalledExpert* expert : trial.gate->experts) {
    const auto it = std::find(trial.experts.begin(), trial.experts.end(), expert);
    indices.push_back(static_cast<size_t>(it - trial.experts.begin()));
  }
  return indices;
}

// A gate with the experts behind its rows, as they answer texts.
struct Answering {
  training::GrownGate gate;
  std::vector<size_t> experts;  // indices into trial.experts
};

Answering fitted_gate(const Trial& trial) {
  Answering fitted{{trial.gate->gate, {}, {}}, routed_experts(trial)};
  for (const size_t e : fitted.experts) fitted.gate.experts.push_back(trial.expert_labels[e]);
  if (trial.caps.defined())
    fitted.gate.caps = trial.caps.narrow(0, 0, static_cast<int64_t>(fitted.experts.size()));
  return fitted;
}

Answering without_row(const Answering& all, size_t row) {
  std::vector<int64_t> kept;
  Answering part;
  for (size_t e = 0; e < all.experts.size(); ++e) {
    if (e == row) continue;
    kept.push_back(static_cast<int64_t>(e));
    part.experts.push_back(all.experts[e]);
    part.gate.experts.push_back(all.gate.experts[e]);
  }
  if (kept.empty()) return part;  // answers nothing
  part.gate.gate = gate::with_experts(all.gate.gate, kept);
  if (all.gate.caps.defined())
    part.gate.caps = all.gate.caps.index_select(0, encoder::index_tensor(kept));
  return part;
}

// Its answers under the row, temperature and pool of the one that it replaces, and its bound.
Answering in_place(const Trial& trial, Answering gate, size_t row) {
  const fusion::ExpertLabels& taken = gate.gate.experts[row];
  fusion::ExpertLabels own = trial.expert_labels.back();
  own.temperature = taken.temperature;
  own.pool = taken.pool;
  gate.gate.experts[row] = own;
  gate.experts[row] = trial.experts.size() - 1;
  if (!gate.gate.caps.defined()) return gate;
  gate.gate.caps = gate.gate.caps.clone();
  gate.gate.caps[static_cast<int64_t>(row)] = trial.caps[-1];
  return gate;
}

AnsweredTexts of_experts(AnsweredTexts texts, const std::vector<size_t>& experts) {
  std::vector<at::Tensor> logits;
  for (const size_t e : experts) logits.push_back(texts.logits[e]);
  texts.logits = std::move(logits);
  return texts;
}

}  // namespace

void check(const AdmissionOptions& options) {
  const auto require = [](const char* field, int64_t value) {
    if (value < 1)
      throw Error("E_CONFIG", fmt::format("{} is {}, expected at least 1", field, value));
  };
  require("texts", options.texts);
  require("permutations", options.permutations);
}

Judgement judge(const Trial& trial, const AnsweredTexts& judged,
                const std::optional<AnsweredTexts>& fit, int permutations, uint64_t seed) {
  const ForcedPool pool = forced_pool(trial, judged, fit);
  const at::Tensor after = pool.right(with_candidate(trial));
  const at::Tensor before = pool.right(without_candidate(trial));

  Judgement j;
  j.forced = changes_of(judged, before, after);
  j.own = own_domain(trial, judged);
  const PairedChange& forced = j.forced.whole;
  j.verdict = decide(forced, j.own.accuracy, j.own.majority);
  j.reasons = reasons_of(forced, j.own, j.verdict);
  if (j.verdict == Verdict::kUndecided) j.texts_needed = texts_needed(forced);
  j.contributions = contributions_of(trial, pool, permutations, seed);
  return j;
}

std::optional<size_t> row_of(const Trial& trial, size_t expert) {
  const std::vector<size_t> experts = routed_experts(trial);
  const auto it = std::ranges::find(experts, expert);
  if (it == experts.end()) return std::nullopt;
  return static_cast<size_t>(it - experts.begin());
}

FittedGateChange judge_at_row(const Trial& trial, const AnsweredTexts& judged, size_t row) {
  const Answering fitted = fitted_gate(trial);
  const bool routed = fitted.experts[row] == trial.experts.size() - 1;
  const Answering before = routed ? without_row(fitted, row) : fitted;
  const Answering after = routed ? fitted : in_place(trial, fitted, row);
  const auto right = [&](const Answering& answering) {
    if (answering.experts.empty()) return at::zeros({judged.rows()}, at::kBool);
    return training::answered_right(answering.gate, trial.labels,
                                    of_experts(judged, answering.experts), fusion::Mode::kMixture,
                                    trial.gate_file->top_k);
  };
  return {changes_of(judged, right(before), right(after)), 0};
}

FittedGateChange judge_under_gate(const Trial& trial, const AnsweredTexts& judged,
                                  const AnsweredTexts& fit, int64_t texts,
                                  const training::ShareFit& shares) {
  const pipeline::GateFile& file = *trial.gate_file;
  const std::string& domain = trial.candidate().domain();
  std::vector<size_t> experts = routed_experts(trial);
  experts.push_back(trial.experts.size() - 1);
  training::GrowthSetting setting{trial.gate->gate, {}, trial.labels, trial.caps};
  for (const size_t e : experts) setting.experts.push_back(trial.expert_labels[e]);

  const at::Tensor own = rows_of(fit, domain);
  const int64_t count = std::min(texts, own.numel());
  at::Tensor others = rows_of_others(fit, domain);
  if (file.data.contains(domain))
    others = at::cat({others, own.narrow(0, count, own.numel() - count)});
  const AnsweredTexts all = of_experts(fit, experts);
  const training::NewRows row = training::RowFit(setting, all.select(own.narrow(0, 0, count)),
                                                 all.select(others), fit.index_of(domain), shares)
                                    .rows();
  const AnsweredTexts seen = of_experts(judged, experts);
  const auto right = [&](const training::GrownGate& gate) {
    return training::answered_right(gate, setting.labels, seen, fusion::Mode::kMixture, file.top_k);
  };
  return {changes_of(judged, right(before(setting)), right(grown(setting, row))), count};
}

}  // namespace moecollab::contribution
