#include "evaluation/evaluate.h"

#include <ATen/Parallel.h>
#include <fmt/ranges.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <ranges>
#include <set>

#include "base/digest.h"
#include "base/measure.h"
#include "base/version.h"
#include "evaluation/fitted_profiles.h"
#include "evaluation/metrics.h"
#include "evaluation/report.h"
#include "evaluation/routing_probes.h"
#include "fusion/padding.h"
#include "pipeline/expert_list.h"
#include "pipeline/targets.h"
#include "registry/lock.h"
#include "training/gate_fit_record.h"

namespace moecollab::evaluation {
namespace {

// What padding does to the narrowest expert beside the widest; null if nothing is padded, in this
// run or in the gate's fit.
Json padding(const pipeline::Collaboration& collaboration, const pipeline::GateFile& file) {
  const fusion::Mode mode =
      fusion::is_task_agnostic(collaboration.fusion()) ? file.fusion : collaboration.fusion();
  const auto classes = [](const fusion::ExpertLabels& expert) { return expert.columns.size(); };
  const auto [narrow, wide] =
      std::ranges::minmax(collaboration.expert_labels() | std::views::transform(classes));
  if (fusion::is_task_agnostic(mode) || narrow == wide) return nullptr;
  Json found = fusion::padding_gradients(mode, static_cast<int>(narrow), static_cast<int>(wide), 1);
  found["fusion"] = fusion::name(mode);
  return found;
}

GateFigures gate_figures(const pipeline::Collaboration& collaboration,
                         const pipeline::GateFile& file) {
  GateFigures figures{std::string(fusion::name(collaboration.fusion())),
                      std::string(fusion::name(file.fusion)),
                      collaboration.top_k(),
                      file.objective.lambda1,
                      file.objective.lambda2,
                      {},
                      {}};
  const training::GateFitRecord record = training::read_record(file);
  const std::map<std::string, double> accuracies(record.expert_accuracy.begin(),
                                                 record.expert_accuracy.end());
  std::map<std::string, int64_t> texts(record.expert_texts.begin(), record.expert_texts.end());
  for (const pipeline::InstalledExpert* expert : collaboration.experts()) {
    figures.experts.push_back(expert->name);
    figures.space_of_expert.push_back(expert->labels.space);
    const auto accuracy = accuracies.find(expert->name);
    figures.held_out_accuracy.push_back(accuracy == accuracies.end() ? kUndefined
                                                                     : accuracy->second);
    figures.held_out_texts.push_back(texts[expert->name]);
  }
  figures.padding = padding(collaboration, file);
  return figures;
}

// Adds what a domain's texts cost. An expert, and a layer for its sake, counts if the gate sent it
// a text, whether it ran or its answer was cached; what only other systems read does not.
void add_operations(pipeline::Collaboration& collaboration, const DomainFigures& domain,
                    const std::vector<int32_t>& lengths, ComputeFigures& sums) {
  const encoder::Encoder& encoder = *collaboration.pool().encoder();
  CascadeFigures& cascade = sums.cascade;
  const double* share = domain.gate.data();
  for (const int32_t length : lengths) {
    int depth = cascade.gate_layer;
    for (const pipeline::InstalledExpert* expert : collaboration.experts()) {
      const double flops = expert->expert->flops().of(length);
      sums.all_experts_flops += flops;
      if (*share++ == 0) continue;
      sums.expert_flops += flops;
      depth = std::max(depth, expert->expert->request().depth());
    }
    sums.encoder_flops += static_cast<double>(encoder.flops(length));
    cascade.flops += static_cast<double>(encoder.flops(length, depth));
    cascade.flops_without += static_cast<double>(encoder.flops(length, cascade.deepest_layer));
    cascade.layers += depth;
    if (depth == cascade.gate_layer) ++cascade.stopped;
    sums.tokens += length;
  }
}

// Adds what one model would cost alone on these texts, its encoder pass included.
void add_alone(const encoder::Encoder& encoder, const pipeline::InstalledExpert& model,
               const std::vector<int32_t>& lengths, double& sum) {
  for (const int32_t length : lengths) {
    const int depth = model.expert->request().depth();
    sum += static_cast<double>(encoder.flops(length, depth)) + model.expert->flops().of(length);
  }
}

// Adds what the systems beside the collaboration cost on a domain's texts.
void add_others(pipeline::Collaboration& collaboration, const Baselines& baselines,
                const DomainFigures& domain, const std::vector<int32_t>& lengths,
                ComputeFigures& sums) {
  const encoder::Encoder& encoder = *collaboration.pool().encoder();
  for (const pipeline::InstalledExpert* expert : collaboration.experts())
    if (expert->name == domain.best_expert)
      add_alone(encoder, *expert, lengths, sums.best_expert_flops);
  if (baselines.deep)
    add_alone(encoder, *baselines.deep, lengths,
              sums.deep_flops.emplace(sums.deep_flops.value_or(0)));
  if (!baselines.head) return;
  const gate::Gate& head = baselines.head->linear;
  double& sum = sums.head_flops.emplace(sums.head_flops.value_or(0));
  for (const int32_t length : lengths)
    sum += static_cast<double>(encoder.flops(length, head.layer()) + head.flops_per_text());
}

// Fills in what is counted of the process and of the models, not of single texts.
void add_counters(pipeline::Collaboration& collaboration, ComputeFigures& sums) {
  const encoder::EncoderCounters& counters = collaboration.pool().encoder()->counters();
  sums.forwards = counters.forwards;
  sums.cache_hits = counters.cache_hits;
  sums.gate_flops = static_cast<double>(collaboration.gate().flops_per_text());
  for (const pipeline::InstalledExpert* expert : collaboration.experts()) {
    if (!expert->expert->request().empty()) ++sums.encoder_experts;
  }
  sums.peak_rss_bytes = peak_rss_bytes();
}

CascadeFigures cascade_layers(pipeline::Collaboration& collaboration) {
  CascadeFigures figures;
  figures.gate_layer = figures.deepest_layer = collaboration.gate().layer();
  for (const pipeline::InstalledExpert* expert : collaboration.experts())
    figures.deepest_layer = std::max(figures.deepest_layer, expert->expert->request().depth());
  figures.encoder_layers = static_cast<int>(collaboration.pool().encoder()->config().layers);
  return figures;
}

std::vector<ExpertFigures> expert_figures(pipeline::Pool& pool) {
  std::vector<ExpertFigures> all;
  for (const registry::CandidateView& view : pipeline::list_experts(pool)) {
    ExpertFigures figures;
    figures.name = view.name;
    figures.state = registry::state_name(view.state);
    figures.isolation = "none";  // nothing of it runs
    if (view.refusal && !view.refusal->code.empty()) figures.code = view.refusal->code;
    if (view.package) {
      figures.version = view.package->manifest.expert.version.text();
      figures.sha256 = view.package->manifest_sha256;
    }
    for (const pipeline::InstalledExpert& expert : pool.experts()) {
      if (expert.name != view.name) continue;
      figures.isolation = expert.expert->facts().isolated ? "process" : "in-process";
      if (!expert.failure.empty()) figures.code = expert.failure;
      figures.calls = expert.calls;
      figures.cached = expert.cached;
      figures.faults = expert.faults;
      figures.seconds = expert.seconds;
    }
    all.push_back(std::move(figures));
  }
  return all;
}

ProvenanceFigures provenance_figures(const pipeline::Pool& pool, const EvaluationContext& context) {
  const Compute& compute = pool.options().compute;
  ProvenanceFigures figures;
  figures.version = kVersion;
  figures.libtorch = TORCH_VERSION;
  figures.device = name(compute.device);
  figures.precision = name(compute.precision);
  figures.threads = at::get_num_threads();
  figures.seed = context.seed;
  figures.encoder_sha256 = pool.encoder()->fingerprint();
  if (pool.state().lock) figures.registry_lock_sha256 = sha256_hex(*pool.state().lock);
  figures.command = context.command;
  return figures;
}

// The texts of each label space beside those that the gate was fitted on: which domains there are,
// and how many texts of each, is chosen by who evaluates.
void add_drift(const FittedProfiles& fitted, Figures& figures, Log log) {
  std::string missing = fitted.missing;
  std::set<std::string> unknown;
  Profile now;
  std::map<std::string, double> texts;
  for (const DomainFigures& domain : figures.domains) {
    const std::string& space = figures.labels.spaces()[static_cast<size_t>(domain.space)].name;
    if (fitted.missing.empty() && !fitted.profiles.contains(space)) unknown.insert(space);
    now.add(domain.profile);
    texts[space] += domain.profile.texts;
  }
  if (!unknown.empty()) {
    missing =
        fmt::format("the gate was fitted without answered texts of {}", fmt::join(unknown, ", "));
    log.warning(missing + "; fitted without any text of theirs, it never chooses their labels",
                "fit it with the training data of every domain: `moecollab train-gate`");
  }
  if (missing.empty()) {
    figures.drift = find_drift(in_proportion(fitted.profiles, texts), now);
  } else {
    figures.notes.push_back("drift is null: " + missing);
  }
}

}  // namespace

Figures evaluate(pipeline::Collaboration& collaboration, const pipeline::GateFile& gate,
                 const std::vector<data::Dataset>& datasets, EvaluationContext& context,
                 const CollectingLog& notes) {
  Figures figures;
  const Stopwatch watch;
  for (const data::Dataset& dataset : datasets) {
    figures.domains.push_back(run_domain(collaboration, gate, dataset, context.baselines,
                                         context.arrangement, context.seed, context.examples));
  }
  figures.compute.seconds = watch.seconds();
  figures.compute.arrangement = context.arrangement;
  figures.compute.cascade = cascade_layers(collaboration);

  pipeline::Pool& pool = collaboration.pool();
  for (size_t d = 0; d < datasets.size(); ++d) {
    DomainFigures& domain = figures.domains[d];
    const encoder::TextLengths lengths = pool.encoder()->lengths(pipeline::text_views(datasets[d]));
    add_operations(collaboration, domain, lengths.tokens, figures.compute);
    add_others(collaboration, context.baselines, domain, lengths.tokens, figures.compute);
    domain.truncated = lengths.truncated;
    domain.sha256 = datasets[d].sha256;
    domain.train_overlap = context.seen.overlap(datasets[d]);
  }
  add_counters(collaboration, figures.compute);
  figures.labels = pool.labels();
  figures.gate = gate_figures(collaboration, gate);
  if (context.probe_routing) figures.gate.probes = probe_routing(collaboration, datasets);
  figures.training = context.training;
  figures.experts = expert_figures(pool);
  figures.notes = notes.texts();
  add_drift(fitted_profiles(collaboration, gate), figures, pool.context().log);
  figures.provenance = provenance_figures(pool, context);
  return figures;
}

}  // namespace moecollab::evaluation
