// What a growth of the gate says of itself.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/json.h"

namespace moecollab::contribution {

// An entry of [[metrics.growth]] in gate.toml.
struct GrowthRecord {
  std::vector<std::string> experts;                         // the new ones
  std::string domain;                                       // theirs
  int64_t texts = 0;                                        // of it, fitted on
  std::string source;                                       // of these: data, routing or mean
  bool prototype = false;                                   // the rows are means, not fitted
  std::vector<std::pair<std::string, double>> old_weights;  // of domains that weighed more than 1
  double lowered_by = 0;            // nats by which the fitted biases were lowered
  uint64_t seed = 0;                // of the order of texts
  int64_t replay = 0;               // texts of old domains
  std::set<std::string> unchecked;  // old domains without replay
};
Json to_json(const GrowthRecord& record);

// Accuracy on some texts with the old and with the grown gate.
struct AccuracyChange {
  int64_t texts;
  double before, after;
};

struct GrowthResult {
  fs::path gate;  // its folder
  GrowthRecord record;
  size_t rows = 0;             // of the grown gate
  std::optional<double> loss;  // of the fit; none for a prototype
  int32_t iterations = 0;      // of the fit
  double fit_seconds = 0;
  std::optional<AccuracyChange> new_domain;  // on texts that nothing was fitted on; none: there are
                                             // none
  std::vector<std::pair<std::string, AccuracyChange>> old_domains;  // on the replay
};
// The record's keys among its own.
Json to_json(const GrowthResult& result);

}  // namespace moecollab::contribution
