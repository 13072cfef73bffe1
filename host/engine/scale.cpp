#include "scale/scale.h"

#include "base/file_lock.h"
#include "base/measure.h"
#include "engine/output_folder.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "evaluation/scale_report.h"
#include "pipeline/pool.h"
#include "registry/layout.h"
#include "registry/registry_file.h"

namespace moecollab::engine {
namespace {

// That of the registry if there is one, else --encoder or the set-up's.
encoder::EncoderSettings encoder_of(const ScaleOptions& options) {
  encoder::EncoderSettings settings = new_registry_encoder(options);
  if (!fs::exists(options.registry / registry::kRegistryFile)) return settings;
  const registry::RegistryFile registry = registry::read_registry(options.registry);
  settings = pipeline::encoder_settings(registry.encoder, options.registry);
  if (options.encoder) settings.folder = *options.encoder;
  return settings;
}

std::vector<scale::PseudoDomain> read_domains(const ScaleOptions& options, Log log) {
  data::DataOptions data = with_registry(options.data, options.registry);
  data::require_training_folder(data, "scale");
  const std::vector<data::Dataset> judged = read_datasets(data, "test-else-dev", log);
  data.split = "train";
  return scale::pseudo_domains(read_datasets(data, "train", log), judged, options.plan.domains);
}

}  // namespace

Json run_scale(const ScaleOptions& options, const RunContext& context) {
  const Stopwatch watch;
  scale::validate(options.plan);
  prepare(options);
  require_fp32(options, context.log);
  const fs::path folder =
      make_output_folder(options.out.value_or(registry::scale_folder(options.registry)),
                         {"pools.jsonl", "scale.json", "scale.md", "scale.html"});
  const std::vector<scale::PseudoDomain> domains = read_domains(options, context.log);
  scale::ScaleRun run{options.plan, domains, options.kind, encoder_of(options)};
  run.gate.seed = options.seed;
  training::settle_for(options.compute.device, run.gate, context.log);
  run.open = pool_options(options, context);
  run.open.encoder = std::nullopt;  // the pools' registries name it
  const std::string digest = scale::digest_of(run);
  run.folder = folder / digest.substr(0, 12);
  const FileLock lock =
      FileLock::claim(folder / "lock", "wait for it, or name another folder with --out");
  FinishedLines finished(folder / "pools.jsonl", digest, scale::pool_key,
                         {"pool", "remove the file, or use another folder"}, context.log);
  Json result = {{"schema", evaluation::kScaleSchema}, {"digest", digest}, {"kind", options.kind}};
  name_what_is_kept("experts and pools that are finished",
                    [&] { result.update(scale::scale(run, finished)); });
  result["folder"] = folder.string();
  result["seconds"] = watch.seconds();
  write_file_atomic(folder / "scale.json", to_text(result));
  const evaluation::TablesPage page = evaluation::scale_page(result);
  write_file_atomic(folder / "scale.md", markdown_text(page));
  write_file_atomic(folder / "scale.html", html_document(page));
  return result;
}

}  // namespace moecollab::engine
