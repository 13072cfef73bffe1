#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "base/error.h"
#include "engine/loaded_gate.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "pipeline/answer_stream.h"

namespace moecollab::engine {
namespace {

constexpr double kShownWeight = 0.001;  // experts below it are left out of a line

std::string quoted(const std::string& text) { return to_line(Json(text)); }

// Written without a document in between, which would take longer than all else that a lone text
// costs beside encoder and experts.
class AnswerLines {
 public:
  explicit AnswerLines(const std::vector<std::string>& experts) {
    for (const std::string& name : experts) experts_.push_back(quoted(name));
  }

  // The id keeps its bytes; a text without one is known by its line.
  std::string line(const data::TextRecord& record, const pipeline::Prediction& prediction) const {
    std::string out = "{\"text_id\":";
    out += record.id.empty() ? fmt::to_string(record.line) : record.id;
    out += ',';
    append(prediction.answer, out);
    out += ",\"experts\":{";
    const char* comma = "";
    for (size_t e = 0; e < experts_.size(); ++e) {
      if (prediction.shares[e] < kShownWeight) continue;
      out.append(std::exchange(comma, ",")).append(experts_[e]) += ':';
      append(prediction.shares[e], out);
    }
    out.append("},\"unknown_domain\":").append(prediction.unknown_domain ? "true" : "false");
    out += ",\"alternatives\":[";
    comma = "";
    for (const auto& next : prediction.alternatives) {
      out.append(std::exchange(comma, ",")) += '{';
      append(next, out);
      out += '}';
    }
    return out.append("],\"line\":").append(fmt::to_string(record.line)) += '}';
  }

 private:
  static void append(const pipeline::Prediction::Candidate& candidate, std::string& out) {
    out.append("\"label\":").append(quoted(candidate.label));
    out.append(",\"label_space\":").append(quoted(candidate.space)).append(",\"probability\":");
    append(candidate.probability, out);
  }
  static void append(double probability, std::string& out) {
    out += to_line(Json(std::round(probability * 1e6) / 1e6));
  }

  std::vector<std::string> experts_;
};

}  // namespace

Json run_predict(const PredictOptions& options, const RunContext& context,
                 const std::function<void(const std::string&)>& emit) {
  prepare(options);
  if (options.batch < 1 || options.max_latency_ms < 0) {
    throw Error("E_CONFIG",
                fmt::format("batch is {} and max-latency-ms is {}, expected at least 1 and 0",
                            options.batch, options.max_latency_ms));
  }
  if (options.top_k) check_top_k(options.registry, *options.top_k);
  data::TextSource source(options.files, options.reading, context.log);
  const AnsweringPrecision precision =
      answering_precision(options, options.fusion, options.top_k, context.log);
  pipeline::PoolOptions opening = pool_options(options, context, /*cached=*/false);
  opening.load_encoder = true;
  opening.compute.precision = precision.precision;
  pipeline::Pool pool(opening);
  pool.require_experts();
  const LoadedGate gate = load_gate(pool, options.fusion, options.top_k, context.log);
  pipeline::RoutedGate routed = pipeline::open_gate(gate.file, pool, {}, precision.other);
  if (options.strict) pipeline::require_fitted(routed);
  pipeline::Collaboration collaboration(pool, std::move(routed), gate.fusion, gate.top_k);
  pipeline::Predictor predictor(collaboration, {.batch = options.batch,
                                                .unknown_entropy = pipeline::unknown_entropy(
                                                    gate.file, options.unknown_risk)});
  pipeline::AnswerStream stream(source, predictor,
                                {.batch = options.batch, .latency_ms = options.max_latency_ms},
                                context.stop);

  const AnswerLines lines(predictor.experts());
  int64_t texts = 0, errors = 0;
  while (const std::optional<pipeline::AnsweredTexts> answered = stream.next()) {
    size_t next = 0;
    for (const data::TextItem& item : answered->items) {
      if (const auto* bad = std::get_if<data::BadRecord>(&item)) {
        if (options.strict)
          throw Error(bad->code, bad->message, "leave --strict out to continue after such lines");
        emit(to_line(data::to_json(*bad)));
        ++errors;
      } else {
        emit(lines.line(std::get<data::TextRecord>(item), answered->answers[next++]));
        ++texts;
      }
    }
    if (!stream.ready()) emit("");
  }
  return {{"texts", texts}, {"errors", errors}};
}

}  // namespace moecollab::engine
