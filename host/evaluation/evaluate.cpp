#include "evaluation/evaluate.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <set>

#include "base/digest.h"
#include "base/version.h"
#include "evaluation/gate_usage.h"
#include "evaluation/metrics.h"
#include "evaluation/run.h"
#include "pipeline/targets.h"
#include "registry/lock.h"

namespace moecollab::evaluation {
namespace {

using Runs = std::vector<DomainRun>;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

// One vector of all domains' runs, in order.
template <typename T>
std::vector<T> joined(const Runs& runs, std::vector<T> DomainRun::*member) {
  std::vector<T> all;
  for (const DomainRun& run : runs)
    all.insert(all.end(), (run.*member).begin(), (run.*member).end());
  return all;
}

std::vector<int> ids_of(const fusion::LabelUnion::Range& range) {
  std::vector<int> ids(static_cast<size_t>(range.count));
  std::iota(ids.begin(), ids.end(), range.offset);
  return ids;
}

Json scores(const std::vector<int>& truth, const std::vector<int>& predicted,
            const std::vector<int>& labels) {
  if (predicted.empty()) return {{"accuracy", nullptr}, {"macro_f1", nullptr}};
  return {{"accuracy", accuracy(truth, predicted)},
          {"macro_f1", macro_f1(truth, predicted, labels)}};
}

// The same, or null for a system that has no answers here.
Json scores_or_null(const std::vector<int>& truth, const std::vector<int>& predicted,
                    const std::vector<int>& labels) {
  return predicted.empty() ? Json(nullptr) : scores(truth, predicted, labels);
}

Json paired(const std::vector<int>& truth, const std::vector<int>& before,
            const std::vector<int>& after) {
  const McNemar result = mcnemar(truth, before, after);
  return {{"z", result.z}, {"fixed", result.fixed}, {"broke", result.broke}};
}

// Share of texts whose greatest label-space mass is on their own space.
double routing_accuracy(const DomainRun& run, const std::vector<int>& space_of_expert, int spaces) {
  const std::vector<int> routed =
      argmax_rows(space_mass(run.gate, space_of_expert, spaces), spaces);
  return accuracy(std::vector<int>(routed.size(), run.space), routed);
}

Json confusion_json(const DomainRun& run, const std::vector<int>& ids,
                    const fusion::LabelUnion& labels) {
  if (run.answer.empty()) return nullptr;
  const Confusion counts = confusion(run.truth, run.answer, ids);
  Json names = Json::array();
  for (const int id : ids) names.push_back(labels.label(id));
  return {{"labels", names}, {"matrix", counts.counts}, {"outside", counts.outside}};
}

Json domain_json(const DomainRun& run, const std::vector<int>& space_of_expert,
                 const fusion::LabelUnion& labels) {
  const std::vector<int> ids = ids_of(labels.range(run.space));
  Json moe = scores(run.truth, run.answer, ids);
  moe["accuracy_task_aware"] = accuracy(run.truth, run.answer_aware);
  moe["macro_f1_task_aware"] = macro_f1(run.truth, run.answer_aware, ids);
  const std::vector<int>& judged = run.answer.empty() ? run.answer_aware : run.answer;
  const std::vector<int> correct = correctness(run.truth, judged);
  const Interval ci = wilson(std::accumulate(correct.begin(), correct.end(), int64_t{0}),
                             static_cast<int64_t>(correct.size()));
  moe["accuracy_ci"] = {ci.low, ci.high};
  Json expert = {{"name", run.best_expert}};
  expert.update(scores(run.truth, run.expert_answer, ids));
  moe["mcnemar_task_aware"] = paired(run.truth, run.expert_answer, run.answer_aware);
  return {{"n", run.truth.size()},
          {"label_space", labels.spaces()[static_cast<size_t>(run.space)].name},
          {"baseline", scores(run.truth, run.baseline, ids)},
          {"majority", scores(run.truth, run.majority, ids)},
          {"expert", expert},
          {"moe", moe},
          {"oracle", scores(run.truth, run.expert_answer, ids)},
          {"uniform_gate", scores_or_null(run.truth, run.uniform_gate, ids)},
          {"multi_task_head", scores_or_null(run.truth, run.multi_task_head, ids)},
          {"multi_task_deep", scores_or_null(run.truth, run.multi_task_deep, ids)},
          {"routing_accuracy",
           routing_accuracy(run, space_of_expert, static_cast<int>(labels.spaces().size()))},
          {"confusion", confusion_json(run, ids, labels)}};
}

Json overall_json(const Runs& runs, const Json& domains, int64_t truncated) {
  const std::vector<int> truth = joined(runs, &DomainRun::truth),
                         answer = joined(runs, &DomainRun::answer);
  const std::vector<int> oracle = joined(runs, &DomainRun::expert_answer);
  double accuracy_sum = 0, f1_sum = 0, routed = 0;
  for (const auto& [name, domain] : domains.items()) {
    const double n = domain["n"].get<double>();
    routed += domain["routing_accuracy"].get<double>() * n;
    if (answer.empty()) continue;
    accuracy_sum += domain["moe"]["accuracy"].get<double>();
    f1_sum += domain["moe"]["macro_f1"].get<double>();
  }
  const double oracle_accuracy = accuracy(truth, oracle);
  Json overall = {{"accuracy", nullptr},
                  {"domain_mean", nullptr},
                  {"macro_f1", nullptr},
                  {"oracle_accuracy", oracle_accuracy},
                  {"gap_to_oracle", nullptr},
                  {"routing_accuracy", routed / static_cast<double>(truth.size())},
                  {"accuracy_task_aware", accuracy(truth, joined(runs, &DomainRun::answer_aware))},
                  {"ece", nullptr},
                  {"coverage", nullptr},
                  {"mcnemar", Json::array()},
                  {"truncated", truncated}};
  if (answer.empty()) return overall;
  const auto count = static_cast<double>(domains.size());
  const std::vector<double> confidence = joined(runs, &DomainRun::confidence);
  const std::vector<int> correct = correctness(truth, answer);
  overall["accuracy"] = accuracy(truth, answer);
  overall["domain_mean"] = accuracy_sum / count;
  overall["macro_f1"] = f1_sum / count;
  overall["gap_to_oracle"] = oracle_accuracy - overall["accuracy"].get<double>();
  overall["ece"] = ece(confidence, correct);
  for (const double share : kCoverages)
    overall["coverage"][fmt::format("{:g}", share)] = coverage_accuracy(confidence, correct, share);
  const auto compare = [&](const char* name, const std::vector<int>& other,
                           const std::vector<int>& ours) {
    if (other.size() != truth.size()) return;  // a system that has no answers here
    Json entry = {{"vs", name}};
    entry.update(paired(truth, other, ours));
    overall["mcnemar"].push_back(std::move(entry));
  };
  // An expert alone is told the domain, so it meets the answer that was told it too; `oracle` meets
  // the one that was not.
  compare("expert", oracle, joined(runs, &DomainRun::answer_aware));
  compare("oracle", oracle, answer);
  compare("majority", joined(runs, &DomainRun::majority), answer);
  compare("uniform_gate", joined(runs, &DomainRun::uniform_gate), answer);
  compare("multi_task_head", joined(runs, &DomainRun::multi_task_head), answer);
  compare("multi_task_deep", joined(runs, &DomainRun::multi_task_deep), answer);
  return overall;
}

Json gate_json(const Runs& runs, const pipeline::Collaboration& collaboration,
               const pipeline::GateFile& file, const std::vector<int>& space_of_expert,
               const fusion::LabelUnion& labels) {
  const auto experts = static_cast<int>(space_of_expert.size());
  const auto spaces = static_cast<int>(labels.spaces().size());
  const std::vector<double> gate = joined(runs, &DomainRun::gate);
  std::vector<int> domain;
  std::vector<double> texts_of_space(static_cast<size_t>(spaces), 0.0),
      experts_of_space(static_cast<size_t>(spaces), 0.0);
  for (size_t d = 0; d < runs.size(); ++d) {
    domain.insert(domain.end(), runs[d].truth.size(), static_cast<int>(d));
    texts_of_space[static_cast<size_t>(runs[d].space)] += static_cast<double>(runs[d].truth.size());
  }
  for (const int space : space_of_expert) experts_of_space[static_cast<size_t>(space)] += 1;
  const std::vector<double> mean = mean_gate(gate, experts);
  std::vector<double> mean_space(static_cast<size_t>(spaces), 0.0), ideal;
  for (size_t e = 0; e < mean.size(); ++e) {
    const auto space = static_cast<size_t>(space_of_expert[e]);
    mean_space[space] += mean[e];
    ideal.push_back(texts_of_space[space] / experts_of_space[space]);
  }
  const std::vector<double> load_of_expert = load(mean, ideal),
                            load_of_space = load(mean_space, texts_of_space);
  double entropy_sum = 0;
  for (size_t i = 0; i < gate.size(); i += mean.size())
    entropy_sum += entropy(std::span(gate).subspan(i, mean.size()));

  Json result = {{"fusion", fusion::name(collaboration.fusion())},
                 {"fitted_fusion", fusion::name(file.fusion)},
                 {"top_k", collaboration.top_k()},
                 {"load", Json::object()},
                 {"load_space", Json::object()},
                 {"n_eff", number(n_eff(mean_space))},
                 {"n_eff_target", number(n_eff_target(texts_of_space))},
                 {"n_eff_experts", number(n_eff(mean))}};
  for (size_t e = 0; e < mean.size(); ++e)
    result["load"][collaboration.experts()[e]->name] = number(load_of_expert[e]);
  for (size_t s = 0; s < mean_space.size(); ++s)
    result["load_space"][labels.spaces()[s].name] = number(load_of_space[s]);
  const Utilisation used =
      utilisation(gate, space_of_expert, spaces, domain, static_cast<int>(runs.size()));
  result["utilisation"] = {{"soft", number(used.soft)}, {"hard", number(used.hard)}};
  result["dead"] = Json::array();
  for (const int s : dead(load_of_space))
    result["dead"].push_back(labels.spaces()[static_cast<size_t>(s)].name);
  result["idle"] = Json::array();
  for (const int e : idle(mean))
    result["idle"].push_back(collaboration.experts()[static_cast<size_t>(e)]->name);
  result["entropy_mean"] = entropy_sum / static_cast<double>(domain.size());
  result["objective"] = {{"lambda1", file.objective.lambda1}, {"lambda2", file.objective.lambda2}};
  return result;
}

Json specialisation_json(const Runs& runs, const pipeline::Collaboration& collaboration,
                         int experts) {
  std::vector<int> domain;
  for (size_t d = 0; d < runs.size(); ++d)
    domain.insert(domain.end(), runs[d].truth.size(), static_cast<int>(d));
  const Specialisation s = specialisation(joined(runs, &DomainRun::gate), experts, domain,
                                          static_cast<int>(runs.size()));
  Json matrix = Json::object(), per_expert = Json::object();
  for (int e = 0; e < experts; ++e) {
    const auto i = static_cast<size_t>(e);
    const std::string& name = collaboration.experts()[i]->name;
    for (size_t d = 0; d < runs.size(); ++d)
      matrix[name][runs[d].dataset->domain] = number(s.domain_given_expert[i][d]);
    per_expert[name] = s.score[i] ? number(*s.score[i]) : Json(nullptr);
  }
  return {{"matrix", matrix}, {"per_expert", per_expert}, {"nmi", number(s.nmi)}};
}

// Of each domain's texts.
using Lengths = std::vector<encoder::TextLengths>;

Lengths lengths_of(const Runs& runs, const encoder::Encoder& encoder) {
  Lengths lengths;
  for (const DomainRun& run : runs)
    lengths.push_back(encoder.lengths(pipeline::text_views(*run.dataset)));
  return lengths;
}

int64_t truncated(const Lengths& lengths) {
  int64_t sum = 0;
  for (const encoder::TextLengths& domain : lengths) sum += domain.truncated;
  return sum;
}

// Operations for the texts: real tokens through the encoder, and through each expert that the gate
// sent them to (whether it ran or its answer was cached).
Json compute_json(const Runs& runs, const Lengths& lengths, pipeline::Collaboration& collaboration,
                  double seconds) {
  encoder::Encoder& encoder = *collaboration.pool().encoder();
  int64_t texts = 0, tokens = 0;
  double encoder_flops = 0, expert_flops = 0, all_experts_flops = 0;
  for (size_t d = 0; d < runs.size(); ++d) {
    const double* share = runs[d].gate.data();
    for (const int32_t length : lengths[d].tokens) {
      encoder_flops += static_cast<double>(encoder.flops(length));
      for (const pipeline::InstalledExpert* expert : collaboration.experts()) {
        const double flops = expert->expert->flops().of(length);
        all_experts_flops += flops;
        if (*share++ > 0) expert_flops += flops;
      }
      tokens += length;
    }
    texts += static_cast<int64_t>(lengths[d].tokens.size());
  }
  const auto n = static_cast<double>(texts);
  int encoder_experts = 0;
  for (const pipeline::InstalledExpert* expert : collaboration.experts()) {
    if (!expert->expert->request().empty()) ++encoder_experts;
  }
  const encoder::EncoderCounters& counters = encoder.counters();
  const double passes = static_cast<double>(counters.forwards + counters.cache_hits) / n;
  const auto gate_flops = static_cast<double>(collaboration.gate().flops_per_text());
  const double ours = (encoder_flops * passes + expert_flops) / n + gate_flops;
  const double separate =
      (encoder_flops * (encoder_experts + 1) + all_experts_flops) / n + gate_flops;
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return {{"encoder_forwards_per_text", passes},
          {"cache_hits", counters.cache_hits},
          {"flops_per_text", ours},
          {"flops_b0_per_text", separate},
          {"saved", 1 - ours / separate},
          {"tokens", tokens},
          {"seconds", seconds},
          {"texts_per_second", n / seconds},
          {"peak_rss_bytes", int64_t{usage.ru_maxrss} * 1024}};
}

Json experts_json(pipeline::Pool& pool) {
  Json list = Json::array();
  for (const registry::Candidate& candidate : pool.candidates()) {
    Json entry = {{"name", candidate.name},
                  {"version", nullptr},
                  {"state", registry::to_text(candidate.state)},
                  {"code", candidate.refusal ? Json(candidate.refusal->code) : Json(nullptr)},
                  {"sha256", nullptr},
                  {"isolation", "in-process"},
                  {"calls", 0},
                  {"cached", 0},
                  {"faults", 0}};
    if (candidate.package) {
      entry["version"] = candidate.package->manifest.expert.version.text();
      entry["sha256"] = candidate.package->manifest_sha256;
    }
    for (const pipeline::InstalledExpert& expert : pool.experts()) {
      if (expert.name != candidate.name) continue;
      entry["calls"] = expert.calls;
      entry["cached"] = expert.cached;
      entry["faults"] = expert.faults;
    }
    list.push_back(std::move(entry));
  }
  return list;
}

// Texts of the evaluation that also stand in the domain's training file; null where that is not
// known.
Json train_overlap(const data::Dataset& dataset, const EvaluationContext& context) {
  const auto file = context.training_files.find(dataset.domain);
  if (file == context.training_files.end()) return nullptr;
  std::set<std::string> seen;
  for (const data::Example& example : data::read_dataset(dataset.domain, file->second).examples)
    seen.insert(example.text);
  int64_t overlap = 0;
  for (const data::Example& example : dataset.examples)
    overlap += seen.contains(example.text) ? 1 : 0;
  return overlap;
}

// Why figures of the texts are null in this report.
void note_missing(const Runs& runs, const pipeline::Collaboration& collaboration,
                  CollectingLog& notes) {
  if (std::none_of(runs.begin(), runs.end(), [](auto& run) { return run.uniform_gate.empty(); }))
    return;
  notes.keep(fusion::is_task_agnostic(collaboration.fusion())
                 ? "uniform_gate is null: some experts were not asked for every text"
                 : "uniform_gate is null: this fusion has no answer over all labels");
}

Json provenance_json(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
                     const EvaluationContext& context) {
  Json data = Json::object(), overlap = Json::object();
  for (const data::Dataset& dataset : datasets) {
    data[dataset.domain] = dataset.sha256;
    overlap[dataset.domain] = train_overlap(dataset, context);
  }
  const Compute& compute = pool.options().compute;
  const fs::path lock = pool.options().registry / registry::kLockFile;
  return {{"version", kVersion},
          {"libtorch", TORCH_VERSION},
          {"device", name(compute.device)},
          {"precision", name(compute.precision)},
          {"threads", at::get_num_threads()},
          {"seed", context.seed},
          {"encoder_sha256", pool.encoder()->fingerprint()},
          {"registry_lock_sha256",
           fs::exists(lock) ? Json(file_sha256_hex(lock, "E_REG_IO")) : Json(nullptr)},
          {"data", data},
          {"train_overlap", overlap},
          {"command", context.command}};
}

}  // namespace

Json evaluate(pipeline::Collaboration& collaboration, const pipeline::GateFile& gate,
              const std::vector<data::Dataset>& datasets, EvaluationContext& context,
              CollectingLog& notes) {
  const auto start = std::chrono::steady_clock::now();
  Runs runs;
  for (const data::Dataset& dataset : datasets)
    runs.push_back(run_domain(collaboration, gate, dataset, context.baselines, context.seed));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  pipeline::Pool& pool = collaboration.pool();
  const Lengths lengths = lengths_of(runs, *pool.encoder());
  const fusion::LabelUnion& labels = pool.labels();
  std::vector<int> space_of_expert;
  for (const pipeline::InstalledExpert* expert : collaboration.experts())
    space_of_expert.push_back(expert->labels.space);
  Json domains = Json::object();
  for (const DomainRun& run : runs)
    domains[run.dataset->domain] = domain_json(run, space_of_expert, labels);
  note_missing(runs, collaboration, notes);
  return {{"schema", "moecollab.report/1"},
          {"domains", domains},
          {"overall", overall_json(runs, domains, truncated(lengths))},
          {"gate", gate_json(runs, collaboration, gate, space_of_expert, labels)},
          {"specialisation",
           specialisation_json(runs, collaboration, static_cast<int>(space_of_expert.size()))},
          {"training", context.training},
          {"compute", compute_json(runs, lengths, collaboration, seconds)},
          {"experts", experts_json(pool)},
          {"notes", notes.texts()},
          {"provenance", provenance_json(pool, datasets, context)}};
}

}  // namespace moecollab::evaluation
