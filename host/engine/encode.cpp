#include <fmt/format.h>

#include "base/error.h"
#include "base/measure.h"
#include "base/ranks.h"
#include "base/strings.h"
#include "data/text_source.h"
#include "encoder/encoder.h"
#include "encoder/tensor_io.h"
#include "engine/agreement.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "registry/layout.h"

namespace moecollab::engine {
namespace {

// With --encoder no registry is read; else the registry says which encoder and how.
encoder::EncoderSettings settings_of(const WhereOptions& options) {
  if (!options.encoder) {
    return pipeline::encoder_settings(registry::read_registry(options.registry).encoder,
                                      options.registry);
  }
  encoder::EncoderSettings settings;
  settings.folder = *options.encoder;
  settings.max_length = options.max_length;
  return settings;
}

std::vector<std::string> read_texts(const EncodeOptions& options, Log log) {
  data::TextSource source({options.input}, options.reading, log);
  std::vector<std::string> texts;
  while (std::optional<data::TextItem> item = source.next()) {
    if (const auto* bad = std::get_if<data::BadRecord>(&*item))
      throw Error(bad->code, bad->message);
    texts.push_back(std::get<data::TextRecord>(std::move(*item)).text);
  }
  if (texts.empty())
    throw Error("E_DATA", fmt::format("{}: no texts", escaped(options.input.string())));
  return texts;
}

}  // namespace

Json run_encode(const EncodeOptions& options, const RunContext& context) {
  prepare(options);
  note_auto(options, context.log);
  if (leads(context.ranks)) require_writable(options.output);
  const std::vector<std::string> texts = read_texts(options, context.log);
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  encoder::Encoder encoder(settings_of(options), options.compute, batch_tokens(options), nullptr,
                           context);
  if (options.encoder) {
    for (const std::string& note : encoder.notes()) context.log.note(note);
  }
  const auto layers = static_cast<int>(encoder.config().layers);
  const encoder::PooledKey key{layers, encoder::Pooling::kMean};
  encoder::FeatureRequest request;
  request.pooled.insert(key);
  if (options.hidden) {
    if (*options.hidden < 0 || *options.hidden > layers) {
      throw Error("E_CONFIG",
                  fmt::format("hidden is {}, the encoder has layers 0 (embeddings) to {}",
                              *options.hidden, layers));
    }
    request.hidden.insert(*options.hidden);
  }
  // A text has two token states at least, those of [CLS] and [SEP].
  const uint64_t rows = texts.size() * (options.hidden ? 3 : 1);
  if (leads(context.ranks))
    require_space(fs::absolute(options.output).parent_path(),
                  rows * encoder.config().hidden * sizeof(float), shown(options.output));
  share_passes(encoder, views, options, context);
  encoder.load();
  if (context.ranks != nullptr) context.ranks->exchange("model loaded", "");
  const Stopwatch watch;
  const encoder::Features features = encoder.encode(views, request, "encoding");
  const double seconds = watch.seconds();

  std::vector<weights::TensorSource> tensors = {
      encoder::source_of("pooled", features.pooled.at(key))};
  if (options.hidden) {
    tensors.push_back(encoder::source_of("hidden", features.hidden.at(*options.hidden)));
    tensors.push_back({"row_offsets",
                       weights::DType::kI32,
                       {static_cast<int64_t>(features.row_offsets.size())},
                       std::as_bytes(std::span(features.row_offsets))});
  }
  if (leads(context.ranks)) weights::write_safetensors(options.output, tensors);
  return {{"texts", texts.size()},
          {"tokens", encoder.counters().tokens},
          {"seconds", seconds},
          {"texts_per_second", static_cast<double>(texts.size()) / seconds}};
}

Json run_encoder_facts(const WhereOptions& options) {
  // Without a registry: what a new one would get.
  const bool any = options.encoder || fs::exists(options.registry / registry::kRegistryFile);
  const encoder::EncoderSettings settings =
      any ? settings_of(options) : new_registry_encoder(options);
  const encoder::EncoderFolder opened =
      encoder::open_encoder_folder(settings.folder, settings.max_length);
  return {{"folder", settings.folder.string()},
          {"fingerprint", encoder::fingerprint(settings)},
          {"layers", opened.config.layers},
          {"hidden", opened.config.hidden},
          {"max_length", opened.max_length}};
}

}  // namespace moecollab::engine
