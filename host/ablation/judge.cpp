#include "ablation/judge.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>
#include <span>

#include "base/error.h"
#include "contribution/admission_record.h"
#include "evaluation/answer_scores.h"
#include "evaluation/gate_usage.h"
#include "evaluation/metrics.h"
#include "gate/gate.h"

namespace moecollab::ablation {
namespace {

std::vector<training::ChosenTexts> all_of(const pipeline::Pool& pool,
                                          const std::vector<data::Dataset>& datasets) {
  std::vector<training::ChosenTexts> chosen;
  for (const data::Dataset& dataset : datasets) {
    training::ChosenTexts part{&dataset, pool.space_of_domain(dataset.domain), {}};
    part.examples.resize(dataset.examples.size());
    std::iota(part.examples.begin(), part.examples.end(), 0);
    chosen.push_back(std::move(part));
  }
  return chosen;
}

// None of an answer that there is not.
std::vector<int> part_of(const std::vector<int>& values, int64_t first, int64_t count) {
  if (values.empty()) return {};
  const auto begin = values.begin() + first;
  return {begin, begin + count};
}

// Means over domains; null if a domain has none.
Json domain_mean(const Json& domains, const char* key) {
  double sum = 0;
  for (const auto& [name, figures] : domains.items()) {
    if (figures[key].is_null()) return nullptr;
    sum += figures[key].get<double>();
  }
  return sum / static_cast<double>(domains.size());
}

Json accuracy_or_null(const std::vector<int>& truth, const std::vector<int>& answer) {
  return answer.empty() ? Json(nullptr) : Json(evaluation::accuracy(truth, answer));
}

at::Tensor right(const std::vector<int>& truth, const std::vector<int>& answer) {
  return at::tensor(evaluation::correctness(truth, answer)).to(at::kBool);
}

}  // namespace

Judge::Judge(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets, at::Tensor caps)
    : pool_(pool), caps_(std::move(caps)), chosen_(all_of(pool, datasets)) {
  texts_ = training::collect_answered_texts(pool, pool.labels(), pool.all_experts(), {}, chosen_,
                                            "encoding judged texts");
  truth_ = encoder::to_ints(texts_.targets);
  int64_t first = 0;
  for (const training::ChosenTexts& part : chosen_) {
    domains_.push_back({part.dataset->domain, part.space, first, std::ssize(part.examples)});
    first += domains_.back().count;
  }
  // Under policy nan = "mask" the others share the weight of who gives no number.
  std::vector<at::Tensor> answered;
  for (at::Tensor& logits : texts_.logits) {
    const at::Tensor finite = logits.isfinite().all(1, /*keepdim=*/true);
    logits = at::where(finite, logits, at::zeros_like(logits));
    answered.push_back(finite.to(at::kFloat));
  }
  answered_ = at::cat(answered, 1);
}

at::Tensor Judge::input(const std::vector<encoder::PooledKey>& features) {
  at::Tensor& z = inputs_[features];
  if (!z.defined()) {
    z = training::collect_unanswered_texts(pool_, {}, features, chosen_, "encoding judged texts").z;
  }
  return z;
}

Answers Judge::answer(const Way& way) const {
  const at::NoGradGuard no_grad;
  at::Tensor weights = gate::routing_weights(way.router_logits, way.top_k);
  std::vector<at::Tensor> logits;
  std::vector<int64_t> columns;
  std::vector<int> spaces;
  for (size_t e = 0; e < way.experts.size(); ++e) {
    logits.push_back(texts_.logits[way.experts[e]]);
    columns.push_back(static_cast<int64_t>(way.experts[e]));
    spaces.push_back(way.labels[e].space);
  }
  const at::Tensor index = encoder::index_tensor(columns);
  if (caps_.defined()) weights = gate::capped(weights, caps_.index_select(0, index));
  weights = weights * answered_.index_select(1, index);
  const at::Tensor total = weights.sum(1, /*keepdim=*/true);
  if (total.eq(0).any().item<bool>())
    throw Error("E_OUT_NONFINITE", "every expert asked for a text answered with NaN or infinity");
  weights = weights / total;
  const fusion::LabelUnion& labels = pool_.labels();
  const at::Tensor fused = fusion::fuse(way.fusion, weights, logits, way.labels, labels);
  Answers answers;
  if (fusion::is_task_agnostic(way.fusion))
    answers.label = encoder::to_ints(fusion::predict(way.fusion, fused, labels, std::nullopt));
  for (const Domain& domain : domains_) {
    const std::vector<int> part = encoder::to_ints(fusion::predict(
        way.fusion, fused.narrow(0, domain.first, domain.count), labels, domain.space));
    answers.label_aware.insert(answers.label_aware.end(), part.begin(), part.end());
  }
  answers.mass = evaluation::space_mass(encoder::to_doubles(weights), spaces,
                                        static_cast<int>(labels.spaces().size()));
  return answers;
}

Json Judge::figures(const Answers& answers) const {
  const fusion::LabelUnion& labels = pool_.labels();
  const auto spaces = static_cast<int>(labels.spaces().size());
  Json domains = Json::object();
  std::vector<double> prior(labels.spaces().size(), 0.0);
  std::vector<int> own;
  for (const Domain& domain : domains_) {
    const auto part = [&](const std::vector<int>& all) {
      return part_of(all, domain.first, domain.count);
    };
    const std::vector<int> ids = evaluation::label_ids(labels, domain.space);
    const Json aware = evaluation::scores(part(truth_), part(answers.label_aware), ids);
    Json json = {{"n", domain.count}, {"classes", ids.size()}};
    json.update(evaluation::scores(part(truth_), part(answers.label), ids));
    json["accuracy_task_aware"] = aware["accuracy"];
    json["macro_f1_task_aware"] = aware["macro_f1"];
    domains[domain.name] = std::move(json);
    prior[static_cast<size_t>(domain.space)] += static_cast<double>(domain.count);
    own.insert(own.end(), static_cast<size_t>(domain.count), domain.space);
  }
  Json overall = {{"n", truth_.size()},
                  {"accuracy", accuracy_or_null(truth_, answers.label)},
                  {"accuracy_task_aware", evaluation::accuracy(truth_, answers.label_aware)},
                  {"domain_mean", domain_mean(domains, "accuracy")},
                  {"domain_mean_task_aware", domain_mean(domains, "accuracy_task_aware")},
                  {"routing_accuracy",
                   evaluation::accuracy(own, evaluation::argmax_rows(answers.mass, spaces))},
                  {"n_eff", evaluation::n_eff(evaluation::mean_gate(answers.mass, spaces))},
                  {"n_eff_target", evaluation::n_eff_target(prior)}};
  return {{"domains", std::move(domains)}, {"overall", std::move(overall)}};
}

Json Judge::change(const Judge& other, const Answers& from, const Answers& to) const {
  const bool agnostic = !from.label.empty() && !to.label.empty();
  const at::Tensor before = right(other.truth_, agnostic ? from.label : from.label_aware);
  const at::Tensor after = right(truth_, agnostic ? to.label : to.label_aware);
  Json json = {{"by", agnostic ? "accuracy" : "accuracy_task_aware"},
               {"overall", contribution::to_json(contribution::paired_change(before, after))},
               {"domains", Json::object()}};
  for (const Domain& domain : domains_) {
    const auto part = [&](const at::Tensor& all) {
      return all.narrow(0, domain.first, domain.count);
    };
    json["domains"][domain.name] =
        contribution::to_json(contribution::paired_change(part(before), part(after)));
  }
  return json;
}

double Judge::routing_recall(const Answers& answers, int k) const {
  const size_t spaces = pool_.labels().spaces().size();
  int64_t found = 0;
  for (const Domain& domain : domains_) {
    for (int64_t text = domain.first; text < domain.first + domain.count; ++text) {
      const auto row = std::span(answers.mass).subspan(static_cast<size_t>(text) * spaces, spaces);
      const double own = row[static_cast<size_t>(domain.space)];
      found += std::ranges::count_if(row, [own](double mass) { return mass > own; }) < k;
    }
  }
  return static_cast<double>(found) / static_cast<double>(texts());
}

std::string Judge::right_flags(const Answers& answers) const {
  std::string flags;
  for (const int right :
       evaluation::correctness(truth_, answers.label.empty() ? answers.label_aware : answers.label))
    flags += right != 0 ? '1' : '0';
  return flags;
}

Json Judge::in_space(int space, const Answers& from, Answers to) const {
  to.label.clear();
  Json json = {{"figures", figures(to)}, {"change", change(from, to)}};
  for (const char* part : {"figures", "change"}) {
    json[part]["overall"] = nullptr;
    for (const Domain& domain : domains_)
      if (domain.space != space) json[part]["domains"].erase(domain.name);
  }
  return json;
}

Way way_of(const pipeline::RoutedGate& routed, pipeline::Pool& pool, Judge& judge,
           fusion::Mode fusion, int64_t top_k) {
  std::vector<size_t> experts;
  for (const pipeline::InstalledExpert* expert : routed.experts)
    experts.push_back(static_cast<size_t>(expert - pool.experts().data()));
  return {std::move(experts), routed.labels,
          routed.gate.router_logits(judge.input(routed.gate.features)), fusion, top_k};
}

}  // namespace moecollab::ablation
