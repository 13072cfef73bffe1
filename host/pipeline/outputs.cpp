#include "pipeline/outputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "base/error.h"
#include "base/measure.h"
#include "pipeline/shared_answers.h"

namespace moecollab::pipeline {
namespace {

constexpr size_t kKeptTogether = 1024;  // answers: what an interrupted run loses at most

// What an expert's output depends on beside the text.
std::string output_key(const Pool& pool, const InstalledExpert& expert) {
  Json config = Json::object();
  for (const registry::ExpertEntry& entry : pool.registry().experts) {
    if (entry.name == expert.name) config = entry.config;
  }
  return fmt::format("output of package {}\nconfig {}\nencoder {}", expert.sha256(),
                     to_line(config), pool.encoder()->fingerprint());
}

bool are_cached(const Pool& pool, const InstalledExpert& expert) {
  return pool.options().cache != nullptr && pool.encoder() != nullptr &&
         expert.package.manifest.output.deterministic;
}

at::Tensor keep(Pool& pool, const InstalledExpert& expert, const EncodedTexts& texts,
                std::span<const int64_t> rows, const at::Tensor& logits) {
  std::vector<std::string_view> answered;
  for (const int64_t row : rows) answered.push_back(texts.all().texts[static_cast<size_t>(row)]);
  return pool.options().cache->settle(output_key(pool, expert), {}, answered, logits);
}

// A loop: for the few numbers of a text, a call of an operator costs more than they.
bool all_finite(const at::Tensor& values) {
  const at::Tensor contiguous = values.contiguous();
  const float* data = contiguous.const_data_ptr<float>();
  return std::all_of(data, data + contiguous.numel(), [](float v) { return std::isfinite(v); });
}

// The same rows as forward() of one process, of which each rank asks for those of its shards.
at::Tensor forward_on_ranks(Ranks& ranks, InstalledExpert& expert, const EncodedTexts& texts,
                            std::span<const int64_t> rows) {
  return share_answers(
      ranks, expert.name, expert.expert->classes(), rows,
      [&](const std::vector<int64_t>& asked) { return forward(expert, texts, asked); });
}

// Nothing is known: every row must be asked for.
Outputs no_outputs(const InstalledExpert& expert, int64_t texts) {
  Outputs outputs{at::zeros({texts, expert.expert->classes()}, at::kFloat), {}};
  outputs.to_run.resize(static_cast<size_t>(texts));
  std::iota(outputs.to_run.begin(), outputs.to_run.end(), 0);
  return outputs;
}

}  // namespace

Outputs recall(const Pool& pool, const InstalledExpert& expert,
               std::span<const std::string_view> texts) {
  Outputs outputs = no_outputs(expert, static_cast<int64_t>(texts.size()));
  if (!are_cached(pool, expert)) return outputs;
  const std::string key = output_key(pool, expert);
  const int64_t classes = expert.expert->classes();
  float* logits = outputs.logits.mutable_data_ptr<float>();
  std::erase_if(outputs.to_run, [&](int64_t row) {
    const float* cached =
        pool.options().cache->find(key, {}, classes, sha256(texts[static_cast<size_t>(row)]));
    if (cached != nullptr) std::copy_n(cached, classes, logits + row * classes);
    return cached != nullptr;
  });
  return outputs;
}

std::vector<int64_t> rows_to_ask(const Outputs& outputs, std::span<const int64_t> rows) {
  std::vector<int64_t> asked;
  std::set_intersection(outputs.to_run.begin(), outputs.to_run.end(), rows.begin(), rows.end(),
                        std::back_inserter(asked));
  return asked;
}

void complete(Pool& pool, InstalledExpert& expert, const EncodedTexts& texts,
              std::span<const int64_t> rows, Outputs& outputs, const at::Tensor& ahead) {
  const std::vector<int64_t> asked = rows_to_ask(outputs, rows);
  if (asked.empty()) return;
  std::vector<int64_t> left;
  std::set_difference(outputs.to_run.begin(), outputs.to_run.end(), asked.begin(), asked.end(),
                      std::back_inserter(left));
  outputs.to_run = std::move(left);
  // Who was given the logits before keeps them as they are.
  if (static_cast<int64_t>(asked.size()) != texts.rows()) outputs.logits = outputs.logits.clone();
  for (size_t first = 0; first < asked.size(); first += kKeptTogether) {
    if (first > 0) {
      pool.context().stop.throw_if_requested(
          "the experts' answers were interrupted",
          are_cached(pool, expert) ? "the same command continues from the cache" : "");
    }
    const std::span part =
        std::span(asked).subspan(first, std::min(kKeptTogether, asked.size() - first));
    const at::Tensor output = ahead.defined() ? ahead.narrow(0, static_cast<int64_t>(first),
                                                             static_cast<int64_t>(part.size()))
                              : pool.ranks()  ? forward_on_ranks(*pool.ranks(), expert, texts, part)
                                              : forward(expert, texts, part);
    const at::Tensor logits = take_answers(expert, output, pool.registry().policy.nan);
    const bool kept = are_cached(pool, expert) && all_finite(logits);
    at::Tensor settled = kept ? keep(pool, expert, texts, part, logits) : logits;
    if (static_cast<int64_t>(part.size()) == texts.rows()) {
      outputs.logits = std::move(settled);
    } else {
      outputs.logits.index_copy_(0, encoder::index_tensor(part), settled);
    }
  }
}

at::Tensor forward(InstalledExpert& expert, const EncodedTexts& texts,
                   std::span<const int64_t> rows) {
  const encoder::Features features = texts.select(expert.expert->request(), rows);
  const Stopwatch watch;
  at::Tensor output = expert.expert->forward(features);
  expert.seconds += watch.seconds();
  return output;
}

at::Tensor take_answers(InstalledExpert& expert, const at::Tensor& output,
                        const std::string& nan_policy) {
  expert.calls += output.size(0);
  if (nan_policy != "mask" && !all_finite(output)) {
    ++expert.faults;
    throw Error("E_OUT_NONFINITE",
                fmt::format("expert {} answered with NaN or infinity", expert.name),
                "disable it, or set [policy] nan = \"mask\" in registry.toml");
  }
  return expert.expert->to_logits(output);
}

}  // namespace moecollab::pipeline
