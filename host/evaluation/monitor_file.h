// What `--monitor FILE` keeps: a line of JSON for each window of texts, so that drift is seen over
// time. Several programs may add to one file.
#pragma once

#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "evaluation/drift.h"

namespace moecollab::evaluation {

// A line: {time, by, gate, texts, reference, load{psi, band, cells}, entropy{…}, answers{…} |
// null}. `by`: the verb; `gate_sha256`: of gate.toml. The time is now.
Json monitor_line(const std::string& by, const std::string& gate_sha256, const Drift& drift);

// The lines of a file, none if there is no file yet; a last one without a newline is still being
// written, or was cut when it was. Throws E_DATA naming the first line that is
// not as above.
std::vector<Json> read_monitor(const fs::path& file);

}  // namespace moecollab::evaluation
