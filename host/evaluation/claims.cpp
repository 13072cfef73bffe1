#include "evaluation/claims.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/strings.h"
#include "evaluation/answer_scores.h"
#include "evaluation/metrics.h"
#include "pipeline/collaboration.h"
#include "pipeline/outputs.h"
#include "pipeline/targets.h"

namespace moecollab::evaluation {
namespace {

// Global ids of the labels that the expert gives the texts, each by its greatest logit.
std::vector<int> answers_alone(pipeline::Pool& pool, pipeline::InstalledExpert& expert,
                               std::span<const std::string_view> texts) {
  const at::NoGradGuard no_grad;
  pipeline::Outputs outputs = pipeline::recall(pool, expert, texts);
  std::vector<int64_t> rows(texts.size());
  std::iota(rows.begin(), rows.end(), 0);
  const pipeline::EncodedTexts encoded =
      pipeline::features_of(pool, texts, expert.expert->request(), "texts");
  pipeline::complete(pool, expert, encoded, rows, outputs);
  const at::Tensor best =
      fusion::label_columns(expert.labels).index_select(0, outputs.logits.argmax(1)).contiguous();
  const int64_t* ids = best.const_data_ptr<int64_t>();
  return {ids, ids + best.numel()};
}

std::optional<double> figure(const std::string& metric, const std::vector<int>& truth,
                             const std::vector<int>& answers, const std::vector<int>& labels) {
  if (metric == "accuracy") return accuracy(truth, answers);
  if (metric == "macro_f1") return macro_f1(truth, answers, labels);
  return std::nullopt;
}

void take(pipeline::Pool& pool, pipeline::InstalledExpert& expert, const data::Dataset& dataset,
          ClaimResult& result) {
  std::vector<int> truth;
  try {
    truth = pipeline::target_ids(dataset, pool.labels(), expert.labels.space);
  } catch (const Error& error) {
    result.reason = error.what();
    return;
  }
  const std::vector<int> answers = answers_alone(pool, expert, pipeline::text_views(dataset));
  result.texts = static_cast<int64_t>(truth.size());
  result.seen =
      figure(result.claim.metric, truth, answers, label_ids(pool.labels(), expert.labels.space));
  if (!result.seen) {
    result.reason = fmt::format("this version takes accuracy and macro_f1, not {}",
                                escaped(result.claim.metric, 80));
    return;
  }
  const bool held = *result.seen >= result.claim.value - result.claim.tolerance;
  result.verdict = held ? ClaimResult::Verdict::kHeld : ClaimResult::Verdict::kNotHeld;
}

}  // namespace

std::string_view name(ClaimResult::Verdict verdict) {
  switch (verdict) {
    case ClaimResult::Verdict::kHeld:
      return "held";
    case ClaimResult::Verdict::kNotHeld:
      return "not held";
    case ClaimResult::Verdict::kNoData:
      return "no data";
  }
  return "";
}

std::vector<ClaimResult> verify_claims(pipeline::Pool& pool, pipeline::InstalledExpert& expert,
                                       std::span<const data::Dataset> datasets) {
  std::vector<ClaimResult> results;
  for (const registry::Claim& claim : expert.package.manifest.claims) {
    ClaimResult result;
    result.claim = claim;
    const auto dataset = std::ranges::find(datasets, claim.dataset, &data::Dataset::sha256);
    if (dataset == datasets.end())
      result.reason = fmt::format("no file that was given has SHA-256 {}", claim.dataset);
    else
      take(pool, expert, *dataset, result);
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace moecollab::evaluation
