#include "conformance/contract.h"

#include <algorithm>
#include <sstream>

namespace moecollab::conformance {
namespace {

constexpr Rule kRules[] = {
    // abi.h
    {"one-symbol", "exports", ""},
    {"has-note", "loads identity", ""},
    {"many-experts", "create-destroy purity threads", ""},
    {"struct-size-set", "entry extensions", ""},
    {"struct-size-read", "struct-sizes tensors",
     "that a shorter struct is read by MOEC_HAS(): no host of a lower minor exists yet"},
    {"struct-size-kept", "struct-sizes errors tensors", ""},
    {"thread-safe", "threads",
     "every interleaving: threads meet by chance; run your own tests with -fsanitize=thread"},
    {"any-thread", "purity threads train-threads", ""},
    {"borrowed", "borrowed state-roundtrip rebind saved-contexts", ""},
    {"const-is-read", "inputs-untouched borrowed", ""},
    {"in-bounds", "in-bounds text-places some-inputs init",
     "the library's own arrays: run your own tests with -fsanitize=address"},
    {"leaves-process", "surroundings", ""},
    {"no-process", "surroundings files", ""},
    {"no-thread", "surroundings leaves-nothing", ""},
    {"no-files", "files",
     "files that a host opens for the library, and what only some texts would open"},
    {"returns", "loads sizes many-calls leaves-nothing", ""},
    {"no-memory", "memory", "allocations inside libc and LibTorch"},
    {"frees-all", "leaks train-leaks fit-leaks thread-leaks leaves-nothing", ""},
    {"bounded-memory", "growth fit-leaks thread-leaks",
     "growth that sets in after ten thousand texts"},
    {"known-status", "errors", "statuses of failures that no check can cause"},
    {"counted-bytes", "borrowed text-places", ""},
    {"empty-string", "text-places sizes", ""},
    {"error-may-be-null", "errors", ""},
    {"error-filled", "errors", "whether the message helps"},
    {"any-batch", "batch-sizes every-size writes-all", ""},
    {"any-text", "text-places sizes finite", ""},
    {"row-ids", "row-ids", ""},
    {"no-pool", "surroundings", "threads that a shared libstdc++ or OpenMP starts for it"},
    {"host-of-expert", "host", ""},
    {"host-unchanged", "host", ""},
    {"host-lacks-extension", "host", ""},
    {"log-level", "host", ""},
    {"progress", "host", ""},
    {"cancel", "cancel", ""},
    {"made-of-info", "deterministic purity", ""},
    {"weights-by-name", "weights", ""},
    {"weights-fit", "weights create-refusals", ""},
    {"requirements-true", "requirements", "whether the stated cost is right"},
    {"requirements-fixed", "requirements reborn state-roundtrip", ""},
    {"requirements-live", "requirements", ""},
    {"flops", "requirements", ""},
    {"describe-true", "identity", ""},
    {"describe-live", "identity", ""},
    {"fixed-labels", "identity create-refusals", ""},
    {"whole-table", "entry", ""},
    {"extension-fixed", "extensions", ""},
    {"extension-unknown", "extensions", ""},
    {"create-refuses", "create-refusals", "values that no manifest can hold"},
    {"create-leaves-null", "create-refusals memory", ""},
    {"writes-all", "writes-all", ""},
    {"finite", "finite sizes row-ids many-calls", ""},
    {"probabilities", "probabilities", ""},
    {"null-batch", "null-arguments errors", ""},
    {"pure", "row-independence every-size text-places call-order many-calls purity threads",
     "differences below 1e-5, which another order of sums makes; what only another machine "
     "changes"},
    {"same-bits", "deterministic call-order", "if output.deterministic = false: then all of it"},
    {"destroy-null", "null-arguments", ""},
    {"same-table", "entry", ""},
    // note.h
    {"scanned-fast", "scan-time", ""},
    {"needs-runtimes", "libraries", ""},
    {"old-glibc", "glibc", ""},
    {"plain-elf", "elf-flags", ""},
    {"loads", "loads", ""},
    {"quiet-load", "loads surroundings files", ""},
    {"note-true", "identity", ""},
    // ext/fit.h
    {"fit-any-batches", "fit-lessons fit-rows", ""},
    {"fit-learns", "fit-learns fit-lessons", "how well it learns real texts: see `admit`"},
    {"fit-answers-between", "fit-answers", ""},
    {"fit-cancelled", "cancel", ""},
    {"fit-forgets", "fit-forgets", ""},
    {"fit-same-bits", "fit-forgets cancel", ""},
    {"fit-any-scale", "fit-lessons", "scales beyond 0.1 to 10"},
    {"fit-weights", "fit-weights", "how much a weight between 0 and 1 counts"},
    {"want-more", "fit-learns fit-rows", ""},
    {"fit-end-keeps", "fit-answers", ""},
    // ext/params.h
    {"params-are-weights", "reborn bottleneck-learnt blocks-learnt", ""},
    {"param-names", "tensors", ""},
    {"lr-scale", "tensors", ""},
    {"params-fixed", "tensors", ""},
    {"bind-storage", "bind rebind", ""},
    {"bind-touches-nothing", "", "reading rubbish that nothing depends on harms nobody"},
    {"bind-again", "rebind", ""},
    {"init-writes-all", "init", ""},
    {"init-learns", "learns", ""},
    {"init-same-bits", "init", ""},
    {"values-are-the-hosts", "rebind", ""},
    {"params-changed", "bind init reborn", ""},
    // ext/state.h
    {"state-names", "tensors", ""},
    {"state-is-weights", "reborn", ""},
    {"state-fixed", "tensors", ""},
    {"state-reads-all", "reborn state-roundtrip fit-lessons", ""},
    {"state-roundtrip", "state-roundtrip", ""},
    // ext/train.h
    {"train-as-forward", "train-forward", ""},
    {"saved-contexts", "saved-contexts train-threads", ""},
    {"train-changes-nothing", "train-changes-nothing rebind", ""},
    {"vjp-linear", "sums", ""},
    {"vjp-adds", "accumulates", ""},
    {"vjp-params", "gradients bind", ""},
    {"vjp-inputs", "input-gradients some-inputs", ""},
    {"vjp-sums", "sums", ""},
    {"release-null", "null-arguments", ""},
    {"release-any-order", "saved-contexts train-leaks", ""},
    // ext/draft
    {"bottleneck-true", "bottleneck bottleneck-learnt", ""},
};

constexpr Rule kKeys[] = {
    {"schema", "package", ""},
    {"library.id", "package identity", ""},
    {"library.version", "package identity", ""},
    {"expert.id", "package", ""},
    {"expert.name", "package", ""},
    {"expert.version", "package", ""},
    {"expert.vendor", "package", "whether it is true"},
    {"expert.license", "package", "whether it is true"},
    {"expert.url", "package", "whether it is true"},
    {"expert.description", "package", "whether it is true"},
    {"abi.version", "package identity", ""},
    {"abi.sdk", "package", "whether it is true"},
    {"abi.platform", "package loads", ""},
    {"abi.libtorch", "package loads", ""},
    {"task.domain", "package", "what its texts are about: see `admit`"},
    {"task.label_space", "package", ""},
    {"task.labels", "package requirements", ""},
    {"task.labels_file", "package requirements", ""},
    {"task.partial", "package", "what a registry knows of the space: see `experts add`"},
    {"task.language", "package", "whether it is true"},
    {"input.needs", "package requirements", ""},
    {"input.layers", "package requirements", ""},
    {"input.pooling", "package requirements", ""},
    {"input.layout", "package requirements", ""},
    {"input.max_batch", "package requirements batch-sizes", ""},
    {"input.dtypes", "package", "types beside float32, which this host does not send"},
    {"input.encoder.fingerprint", "package", "whether the weights fit the encoder: see `admit`"},
    {"output.kind", "package probabilities", "generative, which this host refuses"},
    {"output.temperature", "package",
     "whether answers are calibrated: see `train-gate --calibrate`"},
    {"output.deterministic", "package deterministic", ""},
    {"training.epochs", "package", "whether it trains well"},
    {"training.batch", "package", "whether it trains well"},
    {"training.patience", "package", "whether it trains well"},
    {"training.folds", "package", "whether it trains well"},
    {"training.lr", "package", "whether it trains well"},
    {"training.warmup", "package", "whether it trains well"},
    {"training.clip", "package", "whether it trains well"},
    {"training.schedule", "package", "whether it trains well"},
    {"training.bucket", "package", "whether it trains well"},
    {"training.precision", "package", "whether it trains well"},
    {"config", "package", "what the library makes of a setting"},
    {"files.NAME", "package", ""},
    {"provenance", "package", "whether it is true"},
    {"claim.dataset", "package",
     "whether the figure holds: `experts verify --claims` takes it again"},
    {"claim.split", "package",
     "whether the figure holds: `experts verify --claims` takes it again"},
    {"claim.metric", "package",
     "whether the figure holds: `experts verify --claims` takes it again"},
    {"claim.value", "package",
     "whether the figure holds: `experts verify --claims` takes it again"},
    {"claim.tolerance", "package",
     "whether the figure holds: `experts verify --claims` takes it again"},
};

}  // namespace

std::span<const Rule> manifest_contract() { return kKeys; }

std::span<const Rule> contract() { return kRules; }

std::vector<std::string> checks_of(const Rule& rule) {
  std::vector<std::string> ids;
  std::istringstream words(rule.checks);
  for (std::string id; words >> id;) ids.push_back(id);
  return ids;
}

std::vector<std::string> rules_of(const std::string& check) {
  std::vector<std::string> names;
  for (const Rule& rule : kRules) {
    const std::vector<std::string> checks = checks_of(rule);
    if (std::ranges::find(checks, check) != checks.end()) names.push_back(rule.name);
  }
  return names;
}

}  // namespace moecollab::conformance
