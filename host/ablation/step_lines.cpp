// By what steps.jsonl knows a step, and whether its figures still hold.
#include <fmt/format.h>

#include "ablation/ablation.h"
#include "base/digest.h"
#include "base/version.h"
#include "pipeline/instantiate.h"
#include "training/gate_fit_record.h"
#include "training/gate_prior.h"

namespace moecollab::ablation {

std::string step_key(const Json& line) {
  const Json& gate = line.at("gate");
  std::string key = fmt::format("{}/{}/{}", line.at("group").get<std::string>(),
                                line.at("name").get<std::string>(),
                                gate.is_null() ? "" : gate.get<std::string>());
  if (line.contains("package")) key += "/" + line["package"].get<std::string>();
  return key;
}

std::string digest_of(const Subject& subject, uint64_t seed) {
  Json key = {{"version", kVersion},
              {"engine", pipeline::engine_version(subject.pool.options().compute)},
              {"encoder", subject.pool.encoder()->fingerprint()},
              {"gate", subject.gate.sha256},
              {"fusion", fusion::name(subject.fusion)},
              {"top_k", subject.top_k},
              {"seed", seed}};
  for (const pipeline::InstalledExpert* expert : subject.pool.all_experts())
    key["experts"].push_back({expert->name, expert->sha256()});
  // Caps, policies, domains and how files are read.
  const registry::RegistryState& state = subject.pool.state();
  key["registry"] = {sha256_hex(state.registry), sha256_hex(state.lock.value_or(""))};
  for (const auto* datasets : {&subject.training, &subject.judged}) {
    for (const data::Dataset& dataset : *datasets)
      key["data"].push_back({dataset.domain, data::digest_as_read(dataset)});
  }
  const std::string prior = training::settings_of(subject.gate, Log()).prior_source;
  if (const std::string file = training::prior_digest(prior); !file.empty()) key["prior"] = file;
  return sha256_hex(to_line(key));
}

}  // namespace moecollab::ablation
