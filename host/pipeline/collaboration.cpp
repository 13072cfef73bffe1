#include "pipeline/collaboration.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/ranks.h"
#include "encoder/parallel.h"

namespace moecollab::pipeline {
namespace {

// Loops over plain numbers, here and below: a lone text has a dozen of them per expert, and every
// call of an operator would cost more than all of these.
using Rows = std::vector<int64_t>;

// Rows of experts together from which on threads share them: to wake one takes as long as some 100.
// Fixed, since what depends on time would differ from run to run.
constexpr int64_t kShared = 512;

constexpr const char* kTooShallow =
    "the texts at hand would go to experts that read deeper layers than were computed for them";
constexpr const char* kAskAll = "--top-k 0 asks all experts";

// Rows in which the weight is not 0, per expert.
std::vector<Rows> routed_rows(const at::Tensor& weights) {
  const auto weight = weights.accessor<float, 2>();
  std::vector<Rows> routed(static_cast<size_t>(weight.size(1)));
  for (int64_t row = 0; row < weight.size(0); ++row) {
    for (int64_t e = 0; e < weight.size(1); ++e) {
      if (weight[row][e] != 0) routed[static_cast<size_t>(e)].push_back(row);
    }
  }
  return routed;
}

// The logits in these rows, 0 in all others.
at::Tensor only_rows(const at::Tensor& logits, const Rows& rows) {
  if (static_cast<int64_t>(rows.size()) == logits.size(0)) return logits;
  at::Tensor kept = at::zeros(logits.sizes(), at::kFloat);
  const auto from = logits.accessor<float, 2>();
  auto to = kept.accessor<float, 2>();
  for (const int64_t row : rows) {
    for (int64_t c = 0; c < from.size(1); ++c) to[row][c] = from[row][c];
  }
  return kept;
}

// Rows that an expert answered with NaN or infinity lose that expert; the others share its weight.
void mask_nonfinite(at::Tensor& logits, at::Tensor& weights, int64_t expert,
                    InstalledExpert& installed) {
  const auto logit = logits.accessor<float, 2>();
  auto weight = weights.accessor<float, 2>();
  Rows good;
  for (int64_t row = 0; row < logit.size(0); ++row) {
    bool finite = true;
    for (int64_t c = 0; c < logit.size(1); ++c) finite = finite && std::isfinite(logit[row][c]);
    if (finite) {
      good.push_back(row);
    } else {
      ++installed.faults;
      weight[row][expert] = 0;
    }
  }
  logits = only_rows(logits, good);
}

}  // namespace

at::Tensor weight_caps(const Pool& pool, std::span<const InstalledExpert* const> experts,
                       std::span<const RoutedGate::Unfitted> unfitted) {
  std::vector<float> caps;
  for (const InstalledExpert* expert : experts) {
    double cap = 1;
    for (const registry::ExpertEntry& entry : pool.registry().experts)
      if (entry.name == expert->name) cap = entry.weight_cap.value_or(1);
    const bool fitted =
        std::ranges::find(unfitted, expert->name, &RoutedGate::Unfitted::name) == unfitted.end();
    if (const auto most = probation_cap(pool.registry(), pool.lock(), expert->sha256(), fitted))
      cap = std::min(cap, *most);
    caps.push_back(static_cast<float>(cap));
  }
  const bool any = std::any_of(caps.begin(), caps.end(), [](float cap) { return cap < 1; });
  return any ? at::tensor(caps) : at::Tensor();
}

Collaboration::Collaboration(Pool& pool, RoutedGate routed, fusion::Mode fusion, int64_t top_k)
    : pool_(pool),
      routed_(std::move(routed)),
      fusion_(fusion),
      top_k_(top_k),
      dropped_(routed_.experts.size()) {
  if (top_k_ > gate().experts()) {
    throw Error("E_CONFIG",
                fmt::format("top_k is {}, but {} experts are routed", top_k_, gate().experts()),
                "use a --top-k from 1 to the number of experts, or 0 for all");
  }
  caps_ = weight_caps(pool, experts(), routed_.unfitted);
}

std::vector<Outputs> Collaboration::recall_outputs(std::span<const std::string_view> texts) const {
  std::vector<Outputs> known;
  for (const InstalledExpert* expert : experts()) known.push_back(recall(pool_, *expert, texts));
  return known;
}

encoder::FeatureRequest Collaboration::request(
    const std::vector<Outputs>& known, std::span<const encoder::FeatureRequest> others) const {
  const int layer = gate().layer();
  // If all experts are asked, no text can stop where the gate does.
  const bool all_asked = top_k_ == 0 || top_k_ == gate().experts();
  encoder::FeatureRequest request;
  request.pooled.insert(gate().features.begin(), gate().features.end());
  const auto add = [&](const encoder::FeatureRequest& wanted) {
    if (wanted.depth() > layer && !all_asked) request.stop_at = layer;
    request.merge(all_asked ? wanted : wanted.up_to(layer));
  };
  for (size_t e = 0; e < experts().size(); ++e) {
    if (!known[e].to_run.empty()) add(experts()[e]->expert->request());
  }
  for (const encoder::FeatureRequest& wanted : others) add(wanted);
  return request;
}

Answers Collaboration::answer(std::span<const std::string_view> texts) {
  RoutedTexts routed = route(texts, recall_outputs(texts));
  return answer(routed);
}

RoutedTexts Collaboration::route(std::span<const std::string_view> texts,
                                 std::vector<Outputs> known,
                                 std::span<const encoder::FeatureRequest> others,
                                 std::string_view progress_label) {
  encoder::Features features = features_of(pool_, texts, request(known, others), progress_label);
  return route(std::move(features), std::move(known), others, progress_label);
}

RoutedTexts Collaboration::route(encoder::Features features, std::vector<Outputs> known,
                                 std::span<const encoder::FeatureRequest> others,
                                 std::string_view progress_label) {
  const at::NoGradGuard no_grad;
  RoutedTexts routed;
  routed.encoded = std::move(features);
  routed.known = std::move(known);
  routed.router_logits = gate().router_logits(gate().input(routed.encoded.all()));
  routed.weights = weights_of(routed.router_logits);
  if (const std::vector<Reader> readers = deeper_readers(routed, others); !readers.empty())
    routed.encoded.deepen(*pool_.encoder(), readers, progress_label);
  return routed;
}

std::vector<Reader> Collaboration::deeper_readers(
    const RoutedTexts& texts, std::span<const encoder::FeatureRequest> others) const {
  std::vector<Reader> readers;
  const std::vector<Rows> routed = routed_rows(texts.weights);
  for (size_t e = 0; e < experts().size(); ++e) {
    const encoder::FeatureRequest& wanted = experts()[e]->expert->request();
    if (texts.encoded.all().holds(wanted)) continue;
    Rows rows = rows_to_ask(texts.known[e], routed[e]);
    if (!rows.empty()) readers.push_back({&wanted, std::move(rows)});
  }
  for (const encoder::FeatureRequest& wanted : others) {
    if (texts.encoded.all().holds(wanted) || texts.encoded.rows() == 0) continue;
    Rows& rows = readers.emplace_back(Reader{&wanted, {}}).rows;
    rows.resize(static_cast<size_t>(texts.encoded.rows()));
    std::iota(rows.begin(), rows.end(), 0);
  }
  return readers;
}

Answers Collaboration::answer(RoutedTexts& texts) {
  const at::NoGradGuard no_grad;
  Answers answers;
  answers.logits = ask(texts);
  answers.router_logits = texts.router_logits;
  answers.weights = texts.weights;
  answers.fused =
      fusion::fuse(fusion_, answers.weights, answers.logits, expert_labels(), pool_.labels());
  return answers;
}

at::Tensor Collaboration::weights_of(const at::Tensor& router_logits) const {
  const bool all = left() == gate().experts();
  const at::Tensor logits =
      all ? router_logits
          : gate::without_experts(gate(), router_logits, {dropped_.begin(), dropped_.end()});
  const at::Tensor weights = gate::routing_weights(logits, std::min(top_k_, left()));
  return caps_.defined() ? gate::capped(weights, caps_) : weights;
}

int64_t Collaboration::left() const {
  return std::count_if(dropped_.begin(), dropped_.end(), [](const auto& gone) { return !gone; });
}

std::vector<at::Tensor> Collaboration::ask(RoutedTexts& texts) {
  // The texts may have been routed before somebody failed.
  if (left() < gate().experts() && !reroute(texts)) throw Error("E_OUT", kTooShallow, kAskAll);
  std::vector<Counted> counted(experts().size());
  while (true) {
    if (std::optional<std::vector<at::Tensor>> logits = try_to_ask(texts, counted)) return *logits;
  }
}

// False if one gets texts that were not encoded as deep as it reads: another thread may be at the
// encoder.
bool Collaboration::reroute(RoutedTexts& texts) const {
  const std::vector<Rows> before = routed_rows(texts.weights);
  texts.weights = weights_of(texts.router_logits);
  const std::vector<Rows> now = routed_rows(texts.weights);
  for (size_t e = 0; e < experts().size(); ++e) {
    if (texts.encoded.all().holds(experts()[e]->expert->request())) continue;
    Rows added;
    std::ranges::set_difference(now[e], before[e], std::back_inserter(added));
    if (!rows_to_ask(texts.known[e], added).empty()) return false;
  }
  return true;
}

void Collaboration::drop(size_t expert, RoutedTexts& texts, const Error& error) {
  InstalledExpert& installed = *experts()[expert];
  if (const auto* ended = dynamic_cast<const worker::ProcessEnded*>(&error))
    pool_.quarantine(installed.name, installed.package, ended->code(), ended->ending());
  const bool unwanted =
      error.code() == "E_OUT_NONFINITE" && pool_.registry().policy.nan == "quarantine";
  if (unwanted) {
    pool_.quarantine(installed.name, installed.package, error.code(),
                     {"forward", "answered with NaN or infinity", ""});
  }
  const bool fails = unwanted || error.code().starts_with("E_IPC") || error.code() == "E_OUT" ||
                     error.code() == "E_OUT_UNWRITTEN";
  // The other ranks may have had its answers.
  const bool several = are_several(pool_.ranks());
  if (!fails || several || pool_.registry().policy.on_expert_failure != "drop") throw;
  dropped_[expert] = true;
  installed.faults += static_cast<int64_t>(routed_rows(texts.weights)[expert].size());
  installed.failure = error.code();
  pool_.context().log.warning(fmt::format("{}; it is left out from now on", error.what()));
  if (left() == 0)
    throw Error(error.code(), fmt::format("no expert is left: {}", error.what()), error.hint());
  if (!reroute(texts))
    throw Error(error.code(), fmt::format("{}; {}", error.what(), kTooShallow), kAskAll);
}

// Each expert sees the rows that are routed to it, gathered, and no others.
std::optional<std::vector<at::Tensor>> Collaboration::try_to_ask(RoutedTexts& texts,
                                                                 std::vector<Counted>& counted) {
  const auto n = static_cast<size_t>(texts.encoded.rows());
  at::Tensor& weights = texts.weights;
  const std::string& nan_policy = pool_.registry().policy.nan;
  const std::vector<Rows> routed = routed_rows(weights);
  std::vector<at::Tensor> ahead(experts().size());
  if (left() == gate().experts()) ahead = answer_side_by_side(texts, routed);
  std::vector<at::Tensor> logits;
  for (size_t e = 0; e < experts().size(); ++e) {
    InstalledExpert& expert = *experts()[e];
    const Rows& rows = routed[e];
    Outputs& known = texts.known[e];
    if (rows.empty() && known.to_run.size() == n) {
      logits.push_back(known.logits);  // nothing known, nothing asked: zeros already
      continue;
    }
    const int64_t calls = expert.calls;
    try {
      complete(pool_, expert, texts.encoded, rows, known, ahead[e]);
    } catch (const Error& error) {
      drop(e, texts, error);
      return std::nullopt;
    }
    // As if it were the only try.
    Counted& before = counted[e];
    const auto asked = static_cast<int64_t>(rows.size());
    const int64_t ran = before.ran + expert.calls - calls;
    expert.calls = calls + asked - before.calls;
    expert.cached += asked - ran - before.cached;
    before = {asked, asked - ran, ran};
    at::Tensor all = only_rows(known.logits, rows);
    if (nan_policy == "mask") mask_nonfinite(all, weights, static_cast<int64_t>(e), expert);
    logits.push_back(std::move(all));
  }
  if (nan_policy == "mask") {
    const at::Tensor total = weights.sum(1, /*keepdim=*/true);
    if (total.eq(0).any().item<bool>()) {
      throw Error("E_OUT_NONFINITE", "every expert asked for a text answered with NaN or infinity");
    }
    weights /= total;
  }
  return logits;
}

// For a lone text the threads are awake from the encoder's pass, which also left nothing of the
// experts in the caches: whoever computes little gains. Many texts are shared if it is the host
// that computes, or processes, for which a thread only waits; other experts' code uses the threads
// itself.
std::vector<at::Tensor> Collaboration::answer_side_by_side(const RoutedTexts& texts,
                                                           const std::vector<Rows>& routed) {
  std::vector<at::Tensor> ahead(experts().size());
  if (pool_.ranks() != nullptr) return ahead;  // whose threads could not take steps in one order
  std::vector<size_t> together;
  std::vector<Rows> asked(experts().size());
  const bool lone = texts.encoded.rows() == 1;
  int64_t rows = 0;
  for (size_t e = 0; e < experts().size(); ++e) {
    const experts::Expert& expert = *experts()[e]->expert;
    const bool own_code = !expert.is_host_code() && !expert.facts().isolated;
    if (!expert.request().hidden.empty() || (!lone && own_code)) continue;
    asked[e] = rows_to_ask(texts.known[e], routed[e]);
    if (asked[e].empty()) continue;
    rows += static_cast<int64_t>(asked[e].size());
    together.push_back(e);
  }
  if (lone ? together.size() < 2 : rows < kShared) return ahead;
  encoder::for_each_in_parallel(static_cast<int64_t>(together.size()), [&](int64_t i) {
    const size_t e = together[static_cast<size_t>(i)];
    try {
      ahead[e] = forward(*experts()[e], texts.encoded, asked[e]);
    } catch (const Error&) {
      // Who failed is asked again alone, so that its error is known as its own.
    }
  });
  return ahead;
}

encoder::Features features_of(Pool& pool, std::span<const std::string_view> texts,
                              const encoder::FeatureRequest& request,
                              std::string_view progress_label) {
  if (!request.empty()) {
    if (pool.encoder() == nullptr) {
      throw Error("E_ENCODER", "encoder features are needed, but registry.toml names no encoder",
                  "set [encoder] path in registry.toml");
    }
    return pool.encoder()->encode(texts, request, progress_label);
  }
  encoder::Features features;
  features.texts.assign(texts.begin(), texts.end());
  for (size_t i = 0; i < texts.size(); ++i) features.row_ids.push_back(static_cast<int64_t>(i));
  return features;
}

}  // namespace moecollab::pipeline
