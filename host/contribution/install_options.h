// What `experts add` and `experts upgrade` are asked for.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/json.h"
#include "contribution/admission_options.h"
#include "data/data_location.h"

namespace moecollab::contribution {

// What becomes of the gate in the same change.
enum class GateStep { kNone, kGrow, kTrain };

// "none", "grow", "train-gate". Throws E_CONFIG for another word; `what` names where it stood.
std::string_view name(GateStep step);
GateStep parse_gate_step(std::string_view text, std::string_view what);

struct InstallOptions {
  // A package; of an upgrade also the name of an expert, whose newest installed version is taken.
  fs::path package;
  std::string name;        // in the registry; empty: the package's own
  std::string reason;      // for the history
  bool upgrade = false;    // the expert must be there, at a lower version
  bool dry_run = false;    // every check, and nothing is written
  data::DataOptions data;  // to judge it on, and for the gate
  AdmissionOptions admission;
  std::optional<GateStep> then;  // none: grow, if there are data and a gate

  bool has_data() const { return !data.dir.empty() || !data.files.empty(); }
};

// Judges a package, a folder or FILE.moec, up to a level of `validate`, with this encoder's folder
// if it reads one (else it is empty). Returns "level", "passed" and "sandbox": how far the library
// was confined. Throws what refuses it. The program gives it, since the checks fork and so need a
// process without threads.
using ConformanceCheck =
    std::function<Json(const fs::path& package, int64_t level, const fs::path& encoder)>;

}  // namespace moecollab::contribution
