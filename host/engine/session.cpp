#include "engine/session.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/installation.h"
#include "base/strings.h"
#include "encoder/device.h"
#include "engine/user_cache.h"
#include "experts/active_call.h"
#include "pipeline/instantiate.h"

namespace moecollab::engine {
namespace {

constexpr uint64_t kMaxSeed = (uint64_t{1} << 63) - 1;  // files keep it as a TOML integer

}  // namespace

void prepare(const RunOptions& options) {
  if (batch_tokens(options) < 1) {
    throw Error("E_CONFIG",
                fmt::format("batch-tokens is {}, expected at least 1", batch_tokens(options)));
  }
  if (options.seed > kMaxSeed) {
    throw Error("E_CONFIG", fmt::format("seed is {}, expected at most {}", options.seed, kMaxSeed));
  }
  experts::name_experts_in_crashes();
  require_precision(options.compute);
  encoder::use_device(options.compute);
  at::set_num_threads(options.compute.threads);
}

int64_t batch_tokens(const RunOptions& options) {
  return options.batch_tokens.value_or(usual_batch_tokens(options.compute.device));
}

void require_writable_parts(const fs::path& registry, std::initializer_list<const char*> folders) {
  registry::registry_text(registry);
  require_writable(registry::registry_path(registry));
  require_writable(registry / registry::kLockFile);
  for (const char* folder : folders) require_writable_folder(registry / folder);
}

pipeline::PoolOptions pool_options(const CommonOptions& options, const RunContext& context,
                                   bool cached) {
  pipeline::PoolOptions pool;
  pool.registry = options.registry;
  pool.encoder = options.encoder;
  pool.compute = options.compute;
  pool.batch_tokens = batch_tokens(options);
  pool.context = context;
  pool.note.command = options.command;
  pool.isolation = options.isolation;
  // What is cached differs from host to host, and all ranks must ask for the same.
  if (cached && !options.no_cache && context.ranks == nullptr)
    pool.cache = open_cache(options, options.compute, context.log);
  return pool;
}

encoder::EncoderSettings new_registry_encoder(const WhereOptions& options) {
  encoder::EncoderSettings settings;
  settings.folder = options.encoder ? *options.encoder : usual_encoder();
  settings.max_length = options.max_length;
  return settings;
}

data::DataOptions with_registry(data::DataOptions options, const fs::path& registry) {
  if (!fs::exists(registry / registry::kRegistryFile)) return options;
  for (const auto& [domain, stated] : registry::read_registry(registry).data) {
    options.of_domains[domain] = {.format = data::parse_format(stated.format),
                                  .quoting = data::parse_quoting(stated.quoting),
                                  .columns = {.text = stated.text_column,
                                              .label = stated.label_column,
                                              .names = stated.columns,
                                              .join = stated.join,
                                              .label_base = stated.label_base,
                                              .label_names = stated.label_names}};
  }
  return options;
}

std::vector<data::Dataset> read_datasets(const data::DataOptions& options,
                                         const std::string& default_split, Log log) {
  std::vector<data::Dataset> datasets;
  for (const data::DataFile& file : data::locate(options, default_split, log)) {
    datasets.push_back(data::read_dataset(file.domain, file.path, file.reading, log));
  }
  return datasets;
}

contribution::TrialFiles read_trial_files(const data::DataOptions& options, Log log) {
  contribution::TrialFiles files;
  files.judged = read_datasets(options, "train", log);
  files.training = options.split.empty() || options.split == "train";
  if (files.training || options.dir.empty()) return files;
  data::DataOptions fitting;
  fitting.dir = options.dir;
  fitting.reading = options.reading;
  fitting.of_domains = options.of_domains;
  files.fitting = read_datasets(fitting, "train", log);
  return files;
}

void check_top_k(const fs::path& registry, int64_t top_k) {
  const registry::RegistryFile file = registry::read_registry(registry);
  const auto enabled = std::count_if(file.experts.begin(), file.experts.end(),
                                     [](const auto& e) { return e.enabled; });
  if (top_k < 0 || top_k > enabled) {
    throw Error(
        "E_CONFIG",
        fmt::format("top-k is {}, but {} experts are enabled in registry.toml", top_k, enabled),
        "use 1 to the number of experts, or 0 for all");
  }
}

}  // namespace moecollab::engine
