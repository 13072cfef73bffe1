#include <fmt/format.h>

#include "base/error.h"
#include "engine/answer_lines.h"
#include "engine/loaded_gate.h"
#include "engine/monitor.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "pipeline/answer_stream.h"

namespace moecollab::engine {
namespace {

// Answers what the stream gives until its end; {"texts", "errors"}.
Json answer_all(pipeline::AnswerStream& stream, const AnswerLines& lines, bool strict,
                std::optional<Monitor>& monitor,
                const std::function<void(const std::string&)>& emit) {
  int64_t texts = 0, errors = 0;
  while (const std::optional<pipeline::AnsweredTexts> answered = stream.next()) {
    size_t next = 0;
    for (const data::TextItem& item : answered->items) {
      if (const auto* bad = std::get_if<data::BadRecord>(&item)) {
        if (strict)
          throw Error(bad->code, bad->message, "leave --strict out to continue after such lines");
        emit(to_line(data::to_json(*bad)));
        ++errors;
      } else {
        const pipeline::Prediction& answer = answered->answers[next++];
        emit(lines.line(std::get<data::TextRecord>(item), answer));
        if (monitor) monitor->add(answer);
        ++texts;
      }
    }
    if (!stream.ready()) emit("");
  }
  return {{"texts", texts}, {"errors", errors}};
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
  const LoadedGate gate = load_gate(pool, options.fusion, options.top_k, context.log);
  pipeline::RoutedGate routed = pipeline::open_gate(gate.file, pool, {}, precision.other);
  if (options.strict) pipeline::require_fitted(routed);
  pipeline::Collaboration collaboration(pool, std::move(routed), gate.fusion, gate.top_k);
  const double unknown = pipeline::unknown_entropy(gate.file, options.unknown_risk);
  pipeline::Predictor predictor(collaboration, {.batch = options.batch,
                                                .opinions = options.explain,
                                                .gate = options.monitor.has_value(),
                                                .unknown_entropy = unknown});
  std::optional<Monitor> monitor;
  if (options.monitor)
    monitor.emplace(*options.monitor, options.monitor_window,
                    evaluation::fitted_profiles(collaboration, gate.file), predictor.experts(),
                    gate.file.sha256, context.log);
  pipeline::AnswerStream stream(source, predictor,
                                {.batch = options.batch, .latency_ms = options.max_latency_ms},
                                context.stop);

  const AnswerLines lines(predictor.experts(), unknown);
  try {
    const Json counts = answer_all(stream, lines, options.strict, monitor, emit);
    if (monitor) monitor->finish();
    return counts;
  } catch (const Error& error) {
    if (monitor && error.code() == "E_INTERRUPTED") monitor->finish();
    throw;
  }
}

}  // namespace moecollab::engine
