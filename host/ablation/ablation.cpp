#include "ablation/ablation.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "ablation/ablation_options.h"
#include "ablation/impact.h"
#include "ablation/judge.h"
#include "ablation/refit.h"
#include "ablation/steps.h"
#include "base/error.h"
#include "base/measure.h"
#include "base/ranks.h"
#include "base/strings.h"
#include "evaluation/best_expert.h"
#include "fusion/padding.h"
#include "pipeline/collaboration.h"
#include "training/gate_fit_record.h"

namespace moecollab::ablation {
namespace {

using training::GateKind;

constexpr fusion::Mode kFusions[] = {fusion::Mode::kPaper, fusion::Mode::kMasked,
                                     fusion::Mode::kMixture, fusion::Mode::kLogitUnion};
constexpr int kNarrow = 2, kWide = 50;  // classes of `padding`

// A gate that is fitted again is over all experts, so the installed one must be. Throws E_GATE if
// it is not, or if nobody answers in the space of a judged domain.
pipeline::RoutedGate open_whole_gate(const Subject& subject) {
  pipeline::RoutedGate routed = pipeline::open_gate(subject.gate, subject.pool);
  for (const pipeline::InstalledExpert* expert : subject.pool.all_experts()) {
    if (std::ranges::find(routed.experts, expert) != routed.experts.end()) continue;
    throw Error("E_GATE",
                fmt::format("expert {} has no row in the gate, so gates that are fitted now would "
                            "differ in more than one thing",
                            escaped(expert->name)),
                "fit the gate first (`moecollab train-gate`), or disable the expert");
  }
  for (const data::Dataset& dataset : subject.judged) {
    evaluation::best_expert(routed.experts, subject.gate, subject.pool.labels(),
                            subject.pool.space_of_domain(dataset.domain));
  }
  return routed;
}

class Ablation {
 public:
  Ablation(const Subject& subject, uint64_t seed, const RunContext& context)
      : subject_(subject),
        seed_(seed),
        context_(context),
        routed_(open_whole_gate(subject)),
        judge_(subject.pool, subject.judged,
               pipeline::weight_caps(subject.pool, subject.pool.all_experts(), routed_.unfitted)),
        refit_(subject.pool, subject.training, fit_settings(), subject.top_k, judge_),
        whole_(whole()),
        reference_(judge_.answer(whole_)) {}

  Json reference_figures() const { return judge_.figures(reference_); }
  std::vector<Step> steps(const std::vector<std::string>& groups);
  // Collects what a step reads of the texts; run() then takes no step of the ranks.
  void collect(const Step& step);
  Json run(const Step& step);

 private:
  training::GateTrainingOptions fit_settings() const;
  Way whole();
  // The same with other router logits, all experts asked.
  Way with_router(const at::Tensor& router_logits) const;
  Way alone(size_t row) const;
  Way without(size_t row);
  at::Tensor perfect_routing() const;
  bool is_sole(size_t row) const;

  void add_fusions(std::vector<Step>& steps);
  void add_gates(std::vector<Step>& steps);
  void add_features(std::vector<Step>& steps);
  void add_top_k(std::vector<Step>& steps);
  void add_experts(std::vector<Step>& steps);
  void add_single(std::vector<Step>& steps);
  void add_padding(std::vector<Step>& steps);
  void add_lambdas(std::vector<Step>& steps);
  void add_upgrades(std::vector<Step>& steps);
  Json judged(const Step& step, const RunContext& quiet);
  Json upgraded(const Step& step, const RunContext& quiet);

  const Subject& subject_;
  uint64_t seed_;
  const RunContext& context_;
  pipeline::RoutedGate routed_;
  Judge judge_;
  Refit refit_;
  Way whole_;  // as the collaboration answers
  Answers reference_;
};

training::GateTrainingOptions Ablation::fit_settings() const {
  training::GateTrainingOptions settings = training::settings_of(subject_.gate, context_.log);
  settings.seed = seed_;
  settings.fusion = subject_.fusion;
  settings.choose_top_k = false;
  settings.keep_replay = 0;
  if (settings.gate == GateKind::kFactored && !training::rules_out_factors(settings).empty())
    settings.gate = GateKind::kLinear;
  training::validate(settings);
  return settings;
}

Way Ablation::whole() {
  return way_of(routed_, subject_.pool, judge_, subject_.fusion, subject_.top_k);
}

Way Ablation::with_router(const at::Tensor& router_logits) const {
  return {whole_.experts, whole_.labels, router_logits, subject_.fusion, 0};
}

Way Ablation::alone(size_t row) const {
  return {{whole_.experts[row]},
          {whole_.labels[row]},
          at::zeros({judge_.texts(), 1}),
          subject_.fusion,
          0};
}

Way Ablation::without(size_t row) {
  Way way = whole_;
  std::vector<int64_t> left;
  for (size_t e = 0; e < way.experts.size(); ++e)
    if (e != row) left.push_back(static_cast<int64_t>(e));
  const gate::Gate gate = gate::with_experts(routed_.gate, left);
  way.router_logits = gate.router_logits(judge_.input(gate.features));
  way.experts.erase(way.experts.begin() + static_cast<std::ptrdiff_t>(row));
  way.labels.erase(way.labels.begin() + static_cast<std::ptrdiff_t>(row));
  way.top_k = std::min<int64_t>(way.top_k, std::ssize(left));
  return way;
}

// All of a text's weight on the expert of its space that is best on held-out texts.
at::Tensor Ablation::perfect_routing() const {
  at::Tensor router = at::full({judge_.texts(), std::ssize(routed_.experts)},
                               -std::numeric_limits<float>::infinity());
  for (const data::Dataset& dataset : subject_.judged) {
    const int space = subject_.pool.space_of_domain(dataset.domain);
    const size_t best =
        evaluation::best_expert(routed_.experts, subject_.gate, subject_.pool.labels(), space);
    router.select(1, static_cast<int64_t>(best)).masked_fill_(judge_.spaces().eq(space), 0);
  }
  return router;
}

bool Ablation::is_sole(size_t row) const {
  return std::ranges::count(routed_.labels, routed_.labels[row].space,
                            &fusion::ExpertLabels::space) == 1;
}

void Ablation::add_fusions(std::vector<Step>& steps) {
  for (const fusion::Mode mode : kFusions) {
    const std::string name(fusion::name(mode));
    steps.push_back({"fusion", name, kSame, nullptr, [this, mode](const RunContext&) {
                       Way way = whole_;
                       way.fusion = mode;
                       return way;
                     }});
    // All of them linear, so that they differ in the fusion alone.
    training::GateTrainingOptions settings = refit_.settings();
    settings.fusion = mode;
    settings.gate = GateKind::kLinear;
    steps.push_back(
        {"fusion", name, kRefitted, training::name(settings.gate),
         [this, settings](const RunContext& quiet) { return refit_.fit(settings, quiet); }});
  }
}

void Ablation::add_gates(std::vector<Step>& steps) {
  steps.push_back({"gate", "off", nullptr, nullptr, [this](const RunContext&) {
                     Way way = with_router(at::zeros({judge_.texts(), routed_.gate.experts()}));
                     // What pools by logarithms was chosen with the gate's shares.
                     for (fusion::ExpertLabels& labels : way.labels)
                       labels.pool = fusion::OpinionPool::kLinear;
                     return way;
                   }});
  steps.push_back({"gate", "perfect", nullptr, nullptr,
                   [this](const RunContext&) { return with_router(perfect_routing()); }});
  for (const GateKind kind : {GateKind::kLinear, GateKind::kMlp, GateKind::kFactored}) {
    training::GateTrainingOptions settings = refit_.settings();
    if (kind == GateKind::kFactored && !training::rules_out_factors(settings).empty()) continue;
    settings.gate = kind;
    const std::string name(training::name(kind));
    steps.push_back({"gate", name, kRefitted, name, [this, settings](const RunContext& quiet) {
                       return refit_.fit(settings, quiet);
                     }});
  }
}

void Ablation::add_features(std::vector<Step>& steps) {
  using encoder::Pooling;
  const auto last = static_cast<int>(subject_.pool.encoder()->config().layers);
  std::vector<encoder::PooledKey> every;
  for (int layer = 0; layer <= last; ++layer) every.push_back({layer, Pooling::kMean});
  const std::pair<const char*, std::vector<encoder::PooledKey>> kinds[] = {
      {"cls", {{last, Pooling::kCls}}},
      {"mean", {{last, Pooling::kMean}}},
      {"three layers", gate::default_features(last)},
      {"all layers", every}};
  const training::GateTrainingOptions settings = refit_.settings();
  for (const auto& [name, features] : kinds) {
    Step step{"features", name, kRefitted, training::name(settings.gate),
              [this, settings, features](const RunContext& quiet) {
                return refit_.fit(settings, quiet, features);
              }};
    step.features = features;
    steps.push_back(std::move(step));
  }
}

void Ablation::add_top_k(std::vector<Step>& steps) {
  for (int64_t k = 1; k <= routed_.gate.experts(); ++k) {
    steps.push_back({"top-k", std::to_string(k), kSame, nullptr, [this, k](const RunContext&) {
                       Way way = whole_;
                       way.top_k = k;
                       return way;
                     }});
  }
}

void Ablation::add_single(std::vector<Step>& steps) {
  for (size_t row = 0; row < routed_.experts.size(); ++row) {
    Step step{"single", routed_.experts[row]->name, nullptr, nullptr,
              [this, row](const RunContext&) { return alone(row); }};
    step.space = routed_.labels[row].space;
    steps.push_back(std::move(step));
  }
}

void Ablation::add_experts(std::vector<Step>& steps) {
  if (routed_.experts.size() < 2) return;
  const training::GateTrainingOptions settings = refit_.settings();
  for (size_t row = 0; row < routed_.experts.size(); ++row) {
    const std::string& name = routed_.experts[row]->name;
    steps.push_back(
        {"experts", name, kSame, nullptr, [this, row](const RunContext&) { return without(row); }});
    if (is_sole(row)) continue;
    steps.push_back({"experts", name, kRefitted, training::name(settings.gate),
                     [this, row, settings](const RunContext& quiet) {
                       return refit_.fit(settings, quiet, {}, whole_.experts[row]);
                     }});
  }
}

void Ablation::add_padding(std::vector<Step>& steps) {
  for (const fusion::Mode mode : kFusions) {
    Step step{"padding", std::string(fusion::name(mode)), nullptr, nullptr, {}};
    step.gradients = [this, mode] {
      return fusion::padding_gradients(mode, kNarrow, kWide, seed_);
    };
    steps.push_back(std::move(step));
  }
}

// Each weight of equation 3 alone, of linear gates.
void Ablation::add_lambdas(std::vector<Step>& steps) {
  for (const bool second : {false, true}) {
    for (const double weight : {0.0, 1e-3, 1e-2, 1e-1, 1.0}) {
      if (second && weight == 0) continue;
      training::GateTrainingOptions settings = refit_.settings();
      settings.gate = GateKind::kLinear;
      settings.objective.lambda1 = second ? 0 : weight;
      settings.objective.lambda2 = second ? weight : 0;
      steps.push_back(
          {"lambda", weight == 0 ? "none" : fmt::format("lambda{} {}", second ? 2 : 1, weight),
           kRefitted, training::name(settings.gate),
           [this, settings](const RunContext& quiet) { return refit_.fit(settings, quiet); }});
    }
  }
}

void Ablation::add_upgrades(std::vector<Step>& steps) {
  const Json kind = training::name(refit_.settings().gate);
  for (const Upgrade& upgrade : upgrades_of(subject_.pool)) {
    for (const char* gate : {kSame, kRefitted}) {
      Step step{"upgrades", upgrade.name, gate, gate == kSame ? Json(nullptr) : kind, {}};
      step.upgrade = upgrade;
      steps.push_back(std::move(step));
    }
  }
}

std::vector<Step> Ablation::steps(const std::vector<std::string>& groups) {
  const std::pair<const char*, void (Ablation::*)(std::vector<Step>&)> all[] = {
      {"fusion", &Ablation::add_fusions},    {"gate", &Ablation::add_gates},
      {"features", &Ablation::add_features}, {"top-k", &Ablation::add_top_k},
      {"single", &Ablation::add_single},     {"experts", &Ablation::add_experts},
      {"padding", &Ablation::add_padding},   {"lambda", &Ablation::add_lambdas},
      {"upgrades", &Ablation::add_upgrades}};
  std::vector<Step> steps;
  for (const auto& [group, add] : all) {
    if (std::ranges::find(groups, group) == groups.end()) continue;
    const size_t before = steps.size();
    (this->*add)(steps);
    if (steps.size() == before && groups.size() < std::size(all))
      context_.log.note(fmt::format("nothing in this registry is to be done for {}", group));
  }
  return steps;
}

// A pool that is upgraded shares no work, and judge_ has what the installed gate reads.
void Ablation::collect(const Step& step) {
  if (!step.upgrade && step.gate == kRefitted) refit_.collect(step.features);
}

Json Ablation::run(const Step& step) {
  const Stopwatch watch;
  CollectingLog notes{Log()};
  Json line = step.line();
  line["failure"] = nullptr;
  try {
    line.update(judged(step, {notes.log(), context_.stop, nullptr}));
  } catch (const Error& error) {
    if (error.code() != "E_TRAIN_DIVERGED" && error.code() != kNoUpgrade) throw;
    line.update({{"figures", nullptr}, {"change", nullptr}, {"failure", error.what()}});
  }
  line["notes"] = notes.texts();
  line["seconds"] = watch.seconds();
  return line;
}

Json Ablation::upgraded(const Step& step, const RunContext& quiet) {
  UpgradedPool pool(subject_, *step.upgrade, quiet);
  const Answers answers = pool.judge().answer(
      step.gate == kSame ? pool.same() : pool.refitted(refit_.settings(), quiet));
  return {{"figures", pool.judge().figures(answers)},
          {"change", pool.judge().change(judge_, reference_, answers)}};
}

Json Ablation::judged(const Step& step, const RunContext& quiet) {
  if (step.gradients) return {{"gradients", step.gradients()}};
  if (step.upgrade) return upgraded(step, quiet);
  const Answers answers = judge_.answer(step.way(quiet));
  if (step.space) return judge_.in_space(*step.space, reference_, answers);
  Json figures = judge_.figures(answers);
  // Equal shares route by the number of a space's experts alone.
  if (step.group == "gate" && step.name == "off") figures["overall"]["routing_accuracy"] = nullptr;
  return {{"figures", std::move(figures)}, {"change", judge_.change(reference_, answers)}};
}

}  // namespace

Json ablate(const Subject& subject, const std::vector<std::string>& groups, uint64_t seed,
            FinishedLines* finished, const RunContext& context) {
  Ablation ablation(subject, seed, context);
  const std::vector<Step> steps = ablation.steps(groups);
  const std::map<std::string, Json> lines = finish_steps(
      steps, [&](const Step& step) { ablation.collect(step); },
      [&](const Step& step) { return ablation.run(step); }, finished, context);
  if (!leads(context.ranks)) return nullptr;
  Json done = Json::array();
  for (const Step& step : steps) done.push_back(lines.at(step_key(step.line())));
  return {{"reference", ablation.reference_figures()},
          {"impact", impact_of(done)},
          {"steps", std::move(done)}};
}

}  // namespace moecollab::ablation
