#include "scale/scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ablation/judge.h"
#include "base/digest.h"
#include "base/version.h"
#include "contribution/admission_record.h"
#include "contribution/gate_fit.h"
#include "contribution/kinds.h"
#include "pipeline/collaboration.h"
#include "pipeline/instantiate.h"
#include "registry/package.h"
#include "scale/bank.h"
#include "scale/costs.h"
#include "training/shuffle.h"

namespace moecollab::scale {
namespace {

constexpr size_t kTimedTexts = 64;

class Scale {
 public:
  Scale(const ScaleRun& run, FinishedLines& finished)
      : run_(run),
        finished_(finished),
        bank_(run.folder, run.domains, run.kind, run.encoder, run.gate.seed, run.open) {}

  void train();
  Json pool(const PoolSize& size);
  Json costs();

 private:
  fs::path registry(const PoolSize& size) const { return run_.folder / "pools" / size.name(); }
  int covered(const PoolSize& size) const { return std::min(size.honest, bank_.domains()); }
  // Fits the gate of a pool that is opened, and judges the pool by it.
  Json judge(const PoolSize& size, pipeline::Pool& pool);

  const ScaleRun& run_;
  FinishedLines& finished_;
  Bank bank_;
};

void Scale::train() {
  std::map<std::string, Member> all;
  for (const PoolSize& size : pool_sizes(run_.plan)) {
    for (const Member& member : members(size, bank_.domains()))
      all.emplace(bank_.name(member), member);
  }
  Progress progress = run_.open.context.progress("training experts", "expert", std::ssize(all));
  for (const auto& [name, member] : all) {
    run_.open.context.stop.throw_if_requested("stopped while experts were trained",
                                              "the same command continues");
    bank_.registry(member);
    progress.advance(1, name);
  }
}

Json Scale::judge(const PoolSize& size, pipeline::Pool& pool) {
  const contribution::FittedGate fitted =
      contribution::fit_and_write_gate(pool, bank_.training(covered(size)), run_.gate);
  pipeline::RoutedGate routed = pipeline::open_gate(fitted.file, pool);
  const std::vector<data::Dataset> judged = bank_.judged(covered(size));
  ablation::Judge judge(pool, judged, {});
  const ablation::Answers answers =
      judge.answer(ablation::way_of(routed, pool, judge, fusion::Mode::kMixture, 0));
  const Json overall = judge.figures(answers).at("overall");
  return {{"spaces", pool.labels().spaces().size()},
          {"texts", judge.texts()},
          {"accuracy", overall.at("accuracy")},
          {"accuracy_task_aware", overall.at("accuracy_task_aware")},
          {"recall_1", judge.routing_recall(answers, 1)},
          {"recall_3", judge.routing_recall(answers, 3)},
          {"n_eff", overall.at("n_eff")},
          {"n_eff_target", overall.at("n_eff_target")},
          {"fit_seconds", fitted.seconds},
          {"right", judge.right_flags(answers)}};
}

Json Scale::pool(const PoolSize& size) {
  if (finished_.contains(size.name()) && fs::exists(registry(size)))
    return finished_.at(size.name());
  bank_.assemble(members(size, bank_.domains()), registry(size));
  pipeline::PoolOptions open = run_.open;
  open.registry = registry(size);
  open.context.log = {};  // what every fit would warn about is what these pools are made for
  pipeline::Pool pool(open);
  Json line = {{"name", size.name()},
               {"experts", size.experts()},
               {"honest", size.honest},
               {"useless", size.useless}};
  line.update(judge(size, pool));
  finished_.add(line);
  return line;
}

// Texts of the smallest pool's domains, which every pool answers.
Json Scale::costs() {
  std::vector<int> sizes = run_.plan.experts;
  std::ranges::sort(sizes);
  const auto repeated = std::ranges::unique(sizes);
  sizes.erase(repeated.begin(), repeated.end());
  std::vector<fs::path> registries;
  for (const int experts : sizes) registries.push_back(registry({experts, 0}));
  std::vector<std::string> texts;
  for (const data::Dataset& dataset : bank_.judged(covered({sizes.front(), 0})))
    for (const data::Example& example : dataset.examples) texts.push_back(example.text);
  std::vector<std::string> chosen;
  const std::vector<int64_t> order = training::shuffled(std::ssize(texts), run_.gate.seed, 0);
  for (size_t i = 0; i < kTimedTexts; ++i)  // again from the first if there are fewer
    chosen.push_back(texts[static_cast<size_t>(order[i % order.size()])]);
  return scale::costs(registries, chosen, run_.plan.rounds, run_.open);
}

at::Tensor bits(const Json& right) {
  const auto flags = right.get<std::string>();
  std::vector<int64_t> values;
  for (const char flag : flags) values.push_back(flag == '1');
  return encoder::index_tensor(values).to(at::kBool);
}

Json domain_json(const PseudoDomain& domain) {
  data::Dataset training;
  training.examples = domain.training;
  return {{"name", domain.name},
          {"source", domain.source},
          {"labels", data::labels_of(training)},
          {"training", domain.training.size()},
          {"judged", domain.judged.size()}};
}

}  // namespace

std::string digest_of(const ScaleRun& run) {
  Json facts = {{"version", kVersion},
                {"kind", registry::open_package(contribution::find_kind(run.kind)).manifest_sha256},
                {"encoder", encoder::fingerprint(run.encoder)},
                {"engine", pipeline::engine_version(run.open.compute)},
                {"seed", run.gate.seed},
                {"domains", Json::array()}};
  for (const PseudoDomain& domain : run.domains) {
    facts["domains"].push_back(
        {domain.name, sha256_hex(jsonl(domain.training)), sha256_hex(jsonl(domain.judged))});
  }
  return sha256_hex(to_line(facts));
}

std::string pool_key(const Json& line) { return line.at("name").get<std::string>(); }

Json scale(const ScaleRun& run, FinishedLines& finished) {
  Scale scale(run, finished);
  Json result = {{"domains", Json::array()}, {"pools", Json::array()}};
  for (const PseudoDomain& domain : run.domains) result["domains"].push_back(domain_json(domain));
  scale.train();
  const std::vector<PoolSize> sizes = pool_sizes(run.plan);
  std::map<PoolSize, at::Tensor> right;
  Progress progress = run.open.context.progress("judging pools", "pool", std::ssize(sizes));
  for (const PoolSize& size : sizes) {
    run.open.context.stop.throw_if_requested("stopped while pools were judged",
                                             "the same command continues");
    Json pool = scale.pool(size);
    right[size] = bits(pool.at("right"));
    pool.erase("right");
    pool["change"] = nullptr;
    if (size.useless > 0) {
      pool["change"] = contribution::to_json(
          contribution::paired_change(right.at({size.honest, 0}), right.at(size)));
    }
    result["pools"].push_back(std::move(pool));
    progress.advance(1, size.name());
  }
  result["costs"] = scale.costs();
  return result;
}

}  // namespace moecollab::scale
