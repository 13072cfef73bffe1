// The installed experts: a registry folder, opened for use.
#pragma once

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/compute.h"
#include "base/run_context.h"
#include "encoder/encoder.h"
#include "experts/expert.h"
#include "fusion/fusion.h"
#include "pipeline/placement.h"
#include "registry/compatibility.h"
#include "registry/history.h"
#include "registry/lock.h"
#include "registry/registry_file.h"
#include "registry/registry_state.h"
#include "registry/resolution.h"

namespace moecollab::pipeline {

struct PoolOptions {
  fs::path registry;
  std::optional<fs::path>
      encoder;  // overrides the registry's path; its fingerprint must be the same
  Compute compute;
  int64_t batch_tokens = 384;
  std::shared_ptr<encoder::FeatureCache> cache;  // null: none
  // Loads the model too, on a thread of its own while the experts are opened: for a run that needs
  // it for certain.
  bool load_encoder = false;
  worker::IsolationOptions isolation;
  bool run_probes = false;  // `experts verify`: probe vectors whatever the lock records
  // `experts list` and `inspect`: keep refused experts as candidates instead of throwing.
  bool tolerate_refused = false;
  // What the registry is to say instead of what it says: for a change that is not made yet.
  std::optional<registry::RegistryState> proposed;
  registry::ChangeNote note;  // what changes of the registry are recorded with
  RunContext
      context;  // of the run that the pool is opened for; its encoder and experts have it too
};

// An expert that is ready: loaded, checked, and placed in the union of labels.
struct InstalledExpert {
  std::string name;
  registry::Package package;
  std::unique_ptr<experts::Expert> expert;
  fusion::ExpertLabels labels;  // at its manifest's temperature
  registry::ProbeRecord probe;  // what its probe vectors were checked against, now or before
  bool probed = false;          // false: the package has none
  int64_t calls = 0;            // rows that it answered
  int64_t cached = 0;           // of these, in an earlier run
  int64_t faults = 0;
  double seconds = 0;        // that its answers of this run took; others may run meanwhile
  std::string failure = {};  // the code that it was left out with in this run; "": it was not

  const std::string& domain() const { return package.manifest.task.domain; }
  const std::string& sha256() const { return package.manifest_sha256; }
};

// Owns encoder and experts. Opening runs every check of an expert's content (docs/registry.md); an
// expert that fails one becomes a refused candidate, and then the registry's on_missing and the
// entry's `required` decide whether that is an error (its own code) or a warning. References and
// pointers are valid as long as the pool. Not thread-safe: encoder and experts are not, and the
// experts count their calls.
class Pool {
 public:
  // Reads the registry, its lock and its packages; writes only the cache. The model is loaded
  // only if the options ask for it or probe vectors need it. Throws E_REG_* for a registry or lock
  // that cannot be used, E_ENCODER*, E_VOCAB or E_CONFIG for an encoder that cannot be used or is
  // another than the registry's, a refused expert's own code as above (not with tolerate_refused),
  // E_INTERRUPTED.
  explicit Pool(const PoolOptions& options);

  // The registry as it was when the pool was opened, whatever others change meanwhile.
  const registry::RegistryState& state() const { return state_; }
  const registry::RegistryFile& registry() const { return registry_; }
  const registry::Lock& lock() const { return lock_; }
  // Every expert asked for or lying there, with its state and refusal.
  const std::vector<registry::Candidate>& candidates() const { return candidates_; }
  // Those in state ready, in the order of registry.toml.
  std::vector<InstalledExpert>& experts() { return experts_; }
  std::vector<InstalledExpert*> all_experts();  // the same
  const fusion::LabelUnion& labels() const { return labels_; }
  // Null if the registry states none.
  encoder::Encoder* encoder() { return encoder_.get(); }
  const encoder::Encoder* encoder() const { return encoder_.get(); }
  // The same in fp32, as probe vectors are; made if the pool computes in another precision.
  encoder::Encoder* probe_encoder();
  const PoolOptions& options() const { return options_; }
  const RunContext& context() const { return options_.context; }

  // From now on encoder passes and answers of experts are shared among the ranks of the run, if it
  // has any, and all ranks get all: they must ask for the same, and the pool must have no cache.
  void share_work();
  // From now on it asks and encodes alone, so that one rank can do what the others do not.
  void work_alone();
  // Null unless work is shared.
  Ranks* ranks() const { return ranks_; }

  // Where a package of this registry, or one that is about to be, runs. Throws as place_of().
  Place place(const registry::Package& package) const {
    return place_of(package, registry_, lock_, options_.isolation, options_.compute);
  }

  // The label space of a domain's data: [domains], else the one space of the experts of that
  // domain. Throws E_DATA listing the candidates otherwise.
  int space_of_domain(const std::string& domain) const;

  // Records in the registry that the package is not to run again; if it cannot be written, that is
  // warned about.
  void quarantine(const std::string& name, const registry::Package& package,
                  const std::string& code, const worker::Ending& ending) const;

  // Throws E_REG_EMPTY unless an expert is ready.
  void require_experts() const;
  // Warns about experts that are ready and were edited after they were installed, before a fit.
  void warn_of_edits() const;
  // nullptr if there is none of that name.
  const registry::Candidate* candidate(const std::string& name) const;
  // Throws what a refused expert stops a run with, as opening does unless refused ones are
  // tolerated. `but`: an expert that does not count.
  void apply_policy(const std::string& but = {}) const;

 private:
  void open_encoder();
  void check_fingerprint() const;
  std::future<void> start_loading();
  // `loading`: the model's, to be waited for before the encoder is used.
  void try_to_admit(registry::Candidate& candidate, std::future<void>& loading);
  void admit(registry::Candidate& candidate, std::future<void>& loading);

  PoolOptions options_;
  registry::RegistryState state_;
  registry::RegistryFile registry_;
  registry::Lock lock_;
  std::unique_ptr<encoder::Encoder> encoder_;
  std::unique_ptr<encoder::Encoder> probe_encoder_;  // null until it is needed
  Ranks* ranks_ = nullptr;
  std::vector<registry::Candidate> candidates_;
  std::vector<InstalledExpert> experts_;
  fusion::LabelUnion labels_;
};

// What this host offers to packages; `encoder` may be null.
registry::HostFacts host_facts(const encoder::Encoder* encoder);

// Where the registry's encoder lies (a relative path counts from the registry folder) and how it is
// used.
encoder::EncoderSettings encoder_settings(const registry::EncoderEntry& entry,
                                          const fs::path& registry_folder);

}  // namespace moecollab::pipeline
