#include "engine/agreement.h"

#include <ATen/Version.h>
#include <fmt/format.h>

#include "base/digest.h"
#include "encoder/encoder.h"
#include "engine/session.h"
#include "registry/layout.h"

namespace moecollab::engine {

void require_agreement(const RunOptions& options, const RunContext& context, cluster::Facts facts) {
  if (context.ranks == nullptr) return;
  facts.insert(facts.begin(), {{"seed", std::to_string(options.seed)},
                               {"device and numbers", options.compute.identity()},
                               {"batch-tokens", std::to_string(batch_tokens(options))}});
  cluster::require_equal(*context.ranks, "handshake", facts);
  const std::string difference = cluster::first_difference(
      *context.ranks, "processors",
      {{"the processor", fmt::format("{} ({})", cpu_model(), at::get_cpu_capability())},
       {"threads", std::to_string(options.compute.threads)}});
  if (!difference.empty())
    context.log.warning(difference + ": the last digits may differ from those of equal ranks");
}

void share_passes(encoder::Encoder& encoder, std::span<const std::string_view> texts,
                  const RunOptions& options, const RunContext& context) {
  if (context.ranks == nullptr) return;
  Sha256 digest;
  for (const std::string_view text : texts) {
    digest.update(fmt::format("{} ", text.size()));
    digest.update(text);
  }
  const Digest all = digest.finish();
  require_agreement(options, context, {{"texts", to_hex(all)}, {"encoder", encoder.fingerprint()}});
  encoder.share_passes(context.ranks);
}

void share_work(pipeline::Pool& pool,
                std::initializer_list<const std::vector<data::Dataset>*> texts,
                const RunOptions& options, const Json& settings) {
  const RunContext& context = pool.context();
  if (context.ranks == nullptr) return;
  const auto digest_or_none = [](const fs::path& file) {
    return file_sha256_or_none(file, "E_REG_IO");
  };
  cluster::Facts facts;
  for (const auto& [name, value] : settings.items())
    facts.emplace_back(name, value.is_string() ? value.get<std::string>() : to_line(value));
  for (const std::vector<data::Dataset>* datasets : texts) {
    for (const data::Dataset& dataset : *datasets)
      facts.emplace_back("data of " + dataset.domain, data::digest_as_read(dataset));
  }
  if (pool.encoder() != nullptr) facts.emplace_back("encoder", pool.encoder()->fingerprint());
  const fs::path& registry = pool.options().registry;
  for (const pipeline::InstalledExpert& expert : pool.experts()) {
    facts.emplace_back("package of expert " + expert.name, expert.sha256());
    facts.emplace_back("held-out logits of expert " + expert.name,
                       digest_or_none(registry::held_out_file(registry, expert.sha256())));
  }
  // Both name the digests of their tensors.
  facts.emplace_back("gate", digest_or_none(registry::gate_file(registry)));
  facts.emplace_back("head baseline", digest_or_none(registry::head_baseline(registry)));
  facts.emplace_back("deep baseline",
                     digest_or_none(registry::deep_baseline(registry) / "expert.toml"));
  facts.emplace_back("registry.toml", sha256_hex(registry::registry_text(registry)));
  facts.emplace_back("registry.lock.toml", sha256_hex(pool.state().lock.value_or("")));
  require_agreement(options, context, std::move(facts));
  pool.share_work();
}

}  // namespace moecollab::engine
