#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "base/error.h"
#include "data/text_source.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "pipeline/collaboration.h"

namespace moecollab::engine {
namespace {

constexpr double kShownWeight = 0.001;  // experts below it are left out of a line
constexpr int64_t kAlternatives = 3;

double rounded(double value) { return std::round(value * 1e6) / 1e6; }

// Records that are answered together: what came within the latency bound, in order.
class Batcher {
 public:
  Batcher(data::TextSource& source, int64_t size, int latency_ms, StopToken stop)
      : source_(source), size_(size), latency_(latency_ms), stop_(stop) {}

  // Empty at the end of the input. Throws E_INTERRUPTED if a stop is requested.
  std::vector<data::TextItem> next() {
    using Clock = std::chrono::steady_clock;
    std::vector<data::TextItem> items;
    Clock::time_point deadline;
    while (static_cast<int64_t>(items.size()) < size_) {
      if (!items.empty()) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (!source_.ready(static_cast<int>(std::max<int64_t>(0, left)))) break;
      } else {
        do {
          stop_.throw_if_requested("interrupted; every line so far was answered");
        } while (!source_.ready(200));
      }
      std::optional<data::TextItem> item = source_.next();
      if (!item) break;
      if (items.empty()) deadline = Clock::now() + std::chrono::milliseconds(latency_);
      items.push_back(*std::move(item));
    }
    return items;
  }

 private:
  data::TextSource& source_;
  int64_t size_;
  int latency_;
  StopToken stop_;
};

class Predictor {
 public:
  Predictor(pipeline::Collaboration& collaboration, double unknown_entropy)
      : collaboration_(collaboration), unknown_entropy_(unknown_entropy) {}

  // A JSON line for each text.
  std::vector<std::string> lines(const std::vector<const data::TextRecord*>& records) {
    std::vector<std::string_view> texts;
    for (const data::TextRecord* record : records) texts.push_back(record->text);
    const pipeline::Answers answers = collaboration_.answer(texts);
    const at::Tensor p = answers.fused.exp();
    const auto [values, ids] = p.topk(std::min<int64_t>(kAlternatives + 1, p.size(1)), 1);
    const at::Tensor log_g = at::log_softmax(answers.router_logits, -1);
    const at::Tensor entropy = -(log_g.exp() * log_g).sum(-1);
    std::vector<std::string> lines;
    for (size_t i = 0; i < records.size(); ++i) {
      const auto row = static_cast<int64_t>(i);
      Json line = {{"text_id", records[i]->id.is_null() ? Json(records[i]->line) : records[i]->id}};
      line.update(candidate(ids[row], values[row], 0));
      line["experts"] = weights(answers.weights[row]);
      line["unknown_domain"] = entropy[row].item<double>() > unknown_entropy_;
      line["alternatives"] = Json::array();
      for (int64_t k = 1; k < values.size(1); ++k)
        line["alternatives"].push_back(candidate(ids[row], values[row], k));
      lines.push_back(to_line(line));
    }
    return lines;
  }

 private:
  Json candidate(const at::Tensor& ids, const at::Tensor& values, int64_t k) const {
    const fusion::LabelUnion& labels = collaboration_.pool().labels();
    const int id = static_cast<int>(ids[k].item<int64_t>());
    return {{"label", labels.label(id)},
            {"label_space", labels.spaces()[static_cast<size_t>(labels.space_of(id))].name},
            {"probability", rounded(values[k].item<double>())}};
  }
  Json weights(const at::Tensor& row) const {
    Json shown = Json::object();
    for (size_t e = 0; e < collaboration_.experts().size(); ++e) {
      const auto weight = row[static_cast<int64_t>(e)].item<double>();
      if (weight >= kShownWeight) shown[collaboration_.experts()[e]->name] = rounded(weight);
    }
    return shown;
  }

  pipeline::Collaboration& collaboration_;
  double unknown_entropy_;
};

// Entropy above which a text's domain counts as unknown: that percentile of the held-out texts.
double unknown_threshold(const pipeline::GateFile& gate, double risk) {
  if (!(risk >= 0 && risk <= 1))
    throw Error("E_CONFIG", fmt::format("--unknown-risk is {}, expected 0 to 1", risk));
  const Json percentiles = gate.metrics.value("entropy_percentiles", Json::array());
  if (percentiles.size() != 101) {
    throw Error("E_GATE", "gate.toml has no entropy_percentiles, which unknown_domain needs",
                "fit it again with `moecollab train-gate`");
  }
  return percentiles[static_cast<size_t>(std::lround(100 * (1 - risk)))].get<double>();
}

std::string error_line(const data::BadRecord& bad) {
  return to_line({{"error", {{"line", bad.line}, {"code", bad.code}, {"message", bad.message}}}});
}

}  // namespace

Json run_predict(const PredictOptions& options, const RunContext& context,
                 const std::function<void(const std::string&)>& emit) {
  prepare(options);
  if (options.batch < 1 || options.max_latency_ms < 0) {
    throw Error("E_CONFIG",
                fmt::format("--batch is {} and --max-latency-ms is {}, expected at least 1 and 0",
                            options.batch, options.max_latency_ms));
  }
  if (options.top_k) check_top_k(options.registry, *options.top_k);
  data::TextSource source(options.files, options.format);
  pipeline::Pool pool(pool_options(options, context, /*cached=*/false));
  pool.require_experts();
  const LoadedGate gate = load_gate(options.registry, options.fusion, options.top_k, context.log);
  if (!fusion::is_task_agnostic(gate.fusion)) {
    throw Error(
        "E_CONFIG",
        fmt::format(
            "{} fusion can only be read where the domain is known, and predict does not know it",
            fusion::name(gate.fusion)),
        "use --fusion mixture or logit-union");
  }
  const double threshold = unknown_threshold(gate.file, options.unknown_risk);
  pipeline::Collaboration collaboration(pool, pipeline::open_gate(gate.file, pool), gate.fusion,
                                        gate.top_k);
  Predictor predictor(collaboration, threshold);
  Batcher batcher(source, options.batch, options.max_latency_ms, context.stop);

  int64_t texts = 0, errors = 0;
  for (std::vector<data::TextItem> items = batcher.next(); !items.empty(); items = batcher.next()) {
    std::vector<const data::TextRecord*> records;
    for (const data::TextItem& item : items) {
      if (const auto* record = std::get_if<data::TextRecord>(&item)) records.push_back(record);
    }
    const std::vector<std::string> lines =
        records.empty() ? std::vector<std::string>() : predictor.lines(records);
    size_t next = 0;
    for (const data::TextItem& item : items) {
      if (const auto* bad = std::get_if<data::BadRecord>(&item)) {
        if (options.strict)
          throw Error(bad->code, bad->message, "leave --strict out to go on behind such lines");
        emit(error_line(*bad));
        ++errors;
      } else {
        emit(lines[next++]);
        ++texts;
      }
    }
    emit("");
  }
  return {{"texts", texts}, {"errors", errors}};
}

}  // namespace moecollab::engine
