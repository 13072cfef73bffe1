// π of equation (3): what ḡ is drawn to by the balance term.
#pragma once

#include <string>
#include <vector>

#include "fusion/fusion.h"
#include "training/gate_data.h"

namespace moecollab::training {

// Shares of the experts [E], all > 0 and summing to 1, for --prior:
//   uniform  1/E each
//   data     the share of the held-out texts of the expert's label space, divided equally among
//            the space's experts
//   a file   TOML or JSON (by its ending .json), a table of expert name -> share > 0, scaled to
//            sum 1; it names every expert once and nobody else
// Throws E_CONFIG for anything else, naming file, expert and value; also if `data` would give an
// expert 0, since the KL to it would be infinite.
std::vector<double> make_prior(const std::string& prior, const std::vector<std::string>& names,
                               const std::vector<fusion::ExpertLabels>& experts,
                               const fusion::LabelUnion& labels, const GateData& data);

// SHA-256 of the file that --prior names, "none" if it is not there, "" for uniform and data.
// Throws E_CONFIG if it cannot be read.
std::string prior_digest(const std::string& prior);

}  // namespace moecollab::training
