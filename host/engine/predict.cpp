#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "pipeline/answer_stream.h"

namespace moecollab::engine {
namespace {

constexpr double kShownWeight = 0.001;  // experts below it are left out of a line

double rounded(double value) { return std::round(value * 1e6) / 1e6; }

Json to_json(const pipeline::Prediction::Candidate& candidate) {
  return {{"label", candidate.label},
          {"label_space", candidate.space},
          {"probability", rounded(candidate.probability)}};
}

// The id keeps its bytes; a text without one is known by its line.
std::string answer_line(const data::TextRecord& record, const pipeline::Prediction& prediction,
                        const std::vector<std::string>& experts) {
  Json line = to_json(prediction.answer);
  line["experts"] = Json::object();
  for (size_t e = 0; e < experts.size(); ++e) {
    if (prediction.shares[e] >= kShownWeight)
      line["experts"][experts[e]] = rounded(prediction.shares[e]);
  }
  line["unknown_domain"] = prediction.unknown_domain;
  line["alternatives"] = Json::array();
  for (const auto& next : prediction.alternatives) line["alternatives"].push_back(to_json(next));
  line["line"] = record.line;
  const std::string id = record.id.empty() ? fmt::format("{}", record.line) : record.id;
  return fmt::format("{{\"text_id\":{},{}", id, to_line(line).substr(1));
}

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
  const LoadedGate gate = load_gate(options.registry, options.fusion, options.top_k, context.log);
  pipeline::Collaboration collaboration(
      pool, pipeline::open_gate(gate.file, pool, {}, precision.other), gate.fusion, gate.top_k);
  pipeline::Predictor predictor(collaboration, {.batch = options.batch,
                                                .unknown_entropy = pipeline::unknown_entropy(
                                                    gate.file, options.unknown_risk)});
  pipeline::AnswerStream stream(source, predictor,
                                {.batch = options.batch, .latency_ms = options.max_latency_ms},
                                context.stop);

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
        emit(answer_line(std::get<data::TextRecord>(item), answered->answers[next++],
                         predictor.experts()));
        ++texts;
      }
    }
    if (!stream.ready()) emit("");
  }
  return {{"texts", texts}, {"errors", errors}};
}

}  // namespace moecollab::engine
