#include "evaluation/run.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>

#include "evaluation/best_expert.h"
#include "pipeline/targets.h"
#include "training/opinions.h"

namespace moecollab::evaluation {
namespace {

using encoder::to_ints;

constexpr size_t kExamples = 10;  // of each kind and domain

// One model's answers on all rows: those that are known, and the others asked for now, uncounted.
std::vector<int> alone(pipeline::Pool& pool, pipeline::InstalledExpert& expert,
                       const pipeline::EncodedTexts& texts, pipeline::Outputs& known) {
  const int64_t calls = expert.calls;
  const std::vector<int64_t> left = known.to_run;
  pipeline::complete(pool, expert, texts, left, known);
  expert.calls = calls;
  return to_ints(fusion::label_columns(expert.labels).index_select(0, known.logits.argmax(1)));
}

// The paper's arrangement: each expert answers every text after an encoder pass of its own. Returns
// how many of its answers each had cached: the collaboration, which then knows all, counts more.
std::vector<int64_t> ask_apart(pipeline::Collaboration& collaboration,
                               std::span<const std::string_view> texts,
                               std::vector<pipeline::Outputs>& known) {
  std::vector<int64_t> cached;
  for (size_t e = 0; e < known.size(); ++e) {
    pipeline::InstalledExpert& expert = *collaboration.experts()[e];
    const pipeline::EncodedTexts own(
        pipeline::features_of(collaboration.pool(), texts, expert.expert->request()));
    alone(collaboration.pool(), expert, own, known[e]);
    cached.push_back(expert.cached);
  }
  return cached;
}

// The paper's baseline: the pretrained encoder under a head that was never trained.
std::vector<int> untrained_head(const at::Tensor& z, const fusion::LabelUnion::Range& range,
                                uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const at::Tensor head = at::randn({range.count, z.size(1)}, generator, at::kFloat);
  return to_ints(at::linear(z, head).argmax(1) + range.offset);
}

// Through the run's fusion with these weights [n, E], whatever the gate pools by.
at::Tensor plainly_fused(const pipeline::Collaboration& collaboration,
                         const pipeline::Answers& answers, const at::Tensor& weights,
                         const fusion::LabelUnion& labels) {
  std::vector<fusion::ExpertLabels> experts = collaboration.expert_labels();
  for (fusion::ExpertLabels& expert : experts) expert.pool = fusion::OpinionPool::kLinear;
  return fusion::fuse(collaboration.fusion(), weights, answers.logits, experts, labels);
}

// The gate's entropy had it never heard of a label space, for each of them.
std::vector<std::vector<double>> entropies_without(const pipeline::Collaboration& collaboration,
                                                   const at::Tensor& router_logits, size_t spaces) {
  std::vector<std::vector<double>> entropies(spaces);
  for (size_t space = 0; space < spaces; ++space) {
    std::vector<bool> left_out;
    for (const fusion::ExpertLabels& expert : collaboration.expert_labels())
      left_out.push_back(expert.space == static_cast<int>(space));
    const auto gone = std::count(left_out.begin(), left_out.end(), true);
    if (gone == 0 || gone == collaboration.gate().experts()) continue;
    const at::Tensor log_shares =
        at::log_softmax(gate::without_experts(collaboration.gate(), router_logits, left_out), -1);
    entropies[space] =
        encoder::to_doubles(-(log_shares.exp() * log_shares).nan_to_num(0.0).sum(-1));
  }
  return entropies;
}

// What the gate did with the texts of a domain, and what was answered [n], if anything was.
Profile profile_of(const pipeline::Collaboration& collaboration, const at::Tensor& router_logits,
                   const std::vector<int>& answer, const fusion::LabelUnion& labels) {
  std::vector<std::string> experts;
  for (const pipeline::InstalledExpert* expert : collaboration.experts())
    experts.push_back(expert->name);
  const std::vector<double> shares = encoder::to_doubles(at::softmax(router_logits, -1));
  Profile profile;
  for (size_t i = 0; i < static_cast<size_t>(router_logits.size(0)); ++i) {
    const auto row = std::span(shares).subspan(i * experts.size(), experts.size());
    profile.add(experts, row, answer.empty() ? "" : answer_name(labels, answer[i]));
  }
  return profile;
}

// The plain mixture of all, whatever the gate pools by. Needs every expert's answer to every text:
// an expert that a text was not sent to has none.
std::vector<int> uniform_gate(const pipeline::Collaboration& collaboration,
                              const pipeline::Answers& answers, const fusion::LabelUnion& labels) {
  const fusion::Mode mode = collaboration.fusion();
  if (!fusion::is_task_agnostic(mode) || !answers.weights.gt(0).all().item<bool>()) return {};
  const at::Tensor even =
      at::full_like(answers.weights, 1.0 / static_cast<double>(answers.weights.size(1)));
  return to_ints(
      fusion::predict(mode, plainly_fused(collaboration, answers, even, labels), labels, {}));
}

// The same of the experts of one space, which is known.
std::vector<int> equal_shares(const pipeline::Collaboration& collaboration,
                              const pipeline::Answers& answers, const fusion::LabelUnion& labels,
                              int space) {
  at::Tensor even = at::zeros_like(answers.weights);
  for (const int64_t e : training::experts_in(space, collaboration.expert_labels())) {
    if (!answers.weights.select(1, e).gt(0).all().item<bool>()) return {};
    even.select(1, e).fill_(1);
  }
  even = even / even.sum(1, /*keepdim=*/true);
  return to_ints(fusion::predict(
      collaboration.fusion(), plainly_fused(collaboration, answers, even, labels), labels, space));
}

// What the experts of the space say alone of the texts that they were asked for and whose label
// they know.
std::vector<OwnAnswers> own_answers(const pipeline::Collaboration& collaboration,
                                    const pipeline::Answers& answers, const std::vector<int>& truth,
                                    int space) {
  const at::Tensor labels = at::tensor(truth).to(at::kLong);
  std::vector<OwnAnswers> all;
  for (const int64_t e : training::experts_in(space, collaboration.expert_labels())) {
    const auto row = static_cast<size_t>(e);
    const fusion::ExpertLabels& own = collaboration.expert_labels()[row];
    const at::Tensor columns = fusion::label_columns(own);
    const at::Tensor asked = at::isin(labels, columns)
                                 .logical_and(answers.weights.select(1, e).gt(0))
                                 .nonzero()
                                 .flatten();
    const at::Tensor logits = answers.logits[row].index_select(0, asked) / own.temperature;
    const auto [confidence, best] = at::softmax(logits, 1).max(1);
    all.push_back({static_cast<int>(e), to_ints(labels.index_select(0, asked)),
                   to_ints(columns.index_select(0, best)), encoder::to_doubles(confidence)});
  }
  return all;
}

// Every expert's own answer to one text.
std::vector<std::optional<int>> alone_on(const pipeline::Collaboration& collaboration,
                                         const pipeline::Answers& answers, int64_t text) {
  std::vector<std::optional<int>> own;
  for (size_t e = 0; e < answers.logits.size(); ++e) {
    const bool asked = answers.weights[text][static_cast<int64_t>(e)].item<float>() > 0;
    const at::Tensor columns = fusion::label_columns(collaboration.expert_labels()[e]);
    own.push_back(asked ? std::optional(columns[answers.logits[e][text].argmax()].item<int>())
                        : std::nullopt);
  }
  return own;
}

// Texts that only the collaboration, and texts that only the best expert answers right: the
// kExamples of each that the collaboration is surest of; in the order of the file if it is not
// said how sure it is.
std::vector<ChangedAnswer> changed_answers(const pipeline::Collaboration& collaboration,
                                           const pipeline::Answers& answers,
                                           const data::Dataset& dataset, const DomainFigures& run) {
  const std::vector<int>& judged = run.answer.empty() ? run.answer_aware : run.answer;
  std::vector<size_t> changed;
  for (size_t i = 0; i < judged.size(); ++i) {
    const bool ours = judged[i] == run.truth[i], theirs = run.expert_answer[i] == run.truth[i];
    if (ours != theirs) changed.push_back(i);
  }
  if (!run.confidence.empty())
    std::ranges::stable_sort(changed, std::greater(), [&](size_t i) { return run.confidence[i]; });
  const size_t experts = collaboration.experts().size();
  std::vector<ChangedAnswer> kept;
  std::array<size_t, 2> counts{};
  for (const size_t i : changed) {
    if (++counts[judged[i] == run.truth[i] ? 1 : 0] > kExamples) continue;
    const auto shares = run.gate.begin() + static_cast<ptrdiff_t>(i * experts);
    kept.push_back({dataset.examples[i].line, dataset.examples[i].text, run.truth[i], judged[i],
                    run.expert_answer[i],
                    std::vector<double>(shares, shares + static_cast<ptrdiff_t>(experts)),
                    alone_on(collaboration, answers, static_cast<int64_t>(i))});
  }
  return kept;
}

encoder::FeatureRequest read_by(const gate::Gate& linear) {
  encoder::FeatureRequest request;
  request.pooled.insert(linear.features.begin(), linear.features.end());
  return request;
}

std::vector<int> multi_task_head(const Baselines& baselines, const pipeline::EncodedTexts& texts) {
  if (!baselines.head) return {};
  const gate::Gate& linear = baselines.head->linear;
  const at::Tensor z = linear.input(texts.select(read_by(linear)));
  const at::Tensor best = linear.router_logits(z).argmax(1);
  return to_ints(encoder::index_tensor(baselines.head_columns).index_select(0, best));
}

std::vector<int> most_frequent(const std::vector<int>& truth) {
  std::map<int, int> counts;
  for (const int label : truth) ++counts[label];
  const auto best = std::max_element(counts.begin(), counts.end(),
                                     [](auto& a, auto& b) { return a.second < b.second; });
  return std::vector<int>(truth.size(), best->first);
}

}  // namespace

DomainFigures run_domain(pipeline::Collaboration& collaboration, const pipeline::GateFile& gate,
                         const data::Dataset& dataset, Baselines& baselines,
                         Arrangement arrangement, uint64_t seed, bool examples) {
  const at::NoGradGuard no_grad;
  pipeline::Pool& pool = collaboration.pool();
  const fusion::LabelUnion& labels = pool.labels();
  DomainFigures run;
  run.domain = dataset.domain;
  run.space = pool.space_of_domain(dataset.domain);
  run.truth = pipeline::target_ids(dataset, labels, run.space);
  const size_t best = best_expert(collaboration.experts(), gate, labels, run.space);

  const std::vector<std::string_view> texts = pipeline::text_views(dataset);
  std::vector<pipeline::Outputs> known = collaboration.recall_outputs(texts);
  const std::vector<int64_t> cached = arrangement == Arrangement::kSeparate
                                          ? ask_apart(collaboration, texts, known)
                                          : std::vector<int64_t>();
  // What the systems beside it read, of every text.
  std::vector<encoder::FeatureRequest> others;
  if (!known[best].to_run.empty())
    others.push_back(collaboration.experts()[best]->expert->request());
  if (baselines.head) others.push_back(read_by(baselines.head->linear));
  pipeline::Outputs deep;
  if (baselines.deep) {
    deep = pipeline::recall(pool, *baselines.deep, texts);
    if (!deep.to_run.empty()) others.push_back(baselines.deep->expert->request());
  }
  pipeline::RoutedTexts routed =
      collaboration.route(texts, std::move(known), others, "encoding " + dataset.domain);
  const pipeline::Answers answers = collaboration.answer(routed);
  for (size_t e = 0; e < cached.size(); ++e) collaboration.experts()[e]->cached = cached[e];
  run.gate = encoder::to_doubles(answers.weights);
  run.entropy_without =
      entropies_without(collaboration, answers.router_logits, labels.spaces().size());
  run.answer_aware =
      to_ints(fusion::predict(collaboration.fusion(), answers.fused, labels, run.space));
  if (fusion::is_task_agnostic(collaboration.fusion())) {
    run.answer =
        to_ints(fusion::predict(collaboration.fusion(), answers.fused, labels, std::nullopt));
    run.confidence = encoder::to_doubles(std::get<0>(answers.fused.max(1)).exp());
  }
  run.profile = profile_of(collaboration, answers.router_logits, run.answer, labels);
  run.best_expert = collaboration.experts()[best]->name;
  pipeline::InstalledExpert& best_one = *collaboration.experts()[best];
  const double seconds = best_one.seconds;
  run.expert_answer = alone(pool, best_one, routed.encoded, routed.known[best]);
  best_one.seconds = seconds;
  run.baseline = untrained_head(collaboration.gate().input(routed.encoded.all()),
                                labels.range(run.space), seed);
  run.majority = most_frequent(run.truth);
  run.uniform_gate = uniform_gate(collaboration, answers, labels);
  run.equal_shares = equal_shares(collaboration, answers, labels, run.space);
  run.own = own_answers(collaboration, answers, run.truth, run.space);
  if (examples) run.examples = changed_answers(collaboration, answers, dataset, run);
  run.multi_task_head = multi_task_head(baselines, routed.encoded);
  if (baselines.deep) run.multi_task_deep = alone(pool, *baselines.deep, routed.encoded, deep);
  return run;
}

}  // namespace moecollab::evaluation
