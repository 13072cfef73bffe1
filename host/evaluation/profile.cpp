#include "evaluation/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/fields.h"
#include "evaluation/gate_usage.h"

namespace moecollab::evaluation {
namespace {

constexpr char kWayOn[] = "fit it again with `moecollab train-gate`";

// Four digits are more than a text's share is worth.
double rounded(double count) { return std::round(count * 1e4) / 1e4; }

Json to_json(const std::map<std::string, double>& counts) {
  Json json = Json::object();
  for (const auto& [name, count] : counts)
    if (rounded(count) > 0) json[name] = rounded(count);
  return json;
}

std::map<std::string, double> counts_from(Fields& fields, const char* key) {
  std::map<std::string, double> counts;
  if (auto table = fields.table(key)) {
    for (const std::string& name : table->keys()) {
      counts[name] = table->required<double>(name);
      if (!(counts[name] >= 0)) table->fail(name, "must be a count", kWayOn);
    }
  }
  return counts;
}

Profile profile_from(Fields fields) {
  Profile profile;
  profile.texts = fields.required<double>("texts");
  if (!(profile.texts > 0)) fields.fail("texts", "must be above 0", kWayOn);
  profile.load = counts_from(fields, "load");
  profile.answers = counts_from(fields, "answers");
  const Json bins = fields.any("entropy");
  if (!bins.is_array() || bins.size() != profile.entropy.size())
    fields.fail("entropy", fmt::format("must hold {} counts", profile.entropy.size()), kWayOn);
  for (size_t b = 0; b < bins.size(); ++b) {
    if (!bins[b].is_number() || !(bins[b].get<double>() >= 0))
      fields.fail("entropy", "must hold counts", kWayOn);
    profile.entropy[b] = bins[b].get<double>();
  }
  return profile;
}

}  // namespace

void Profile::add(std::span<const std::string> experts, std::span<const double> shares,
                  const std::string& answer) {
  texts += 1;
  for (size_t e = 0; e < experts.size(); ++e) load[experts[e]] += shares[e];
  const double most = std::log(static_cast<double>(experts.size()));
  const double relative = most > 0 ? evaluation::entropy(shares) / most : 0;
  const auto bin = std::ranges::upper_bound(kEntropyEdges, relative) - kEntropyEdges.begin();
  entropy[static_cast<size_t>(bin)] += 1;
  if (!answer.empty()) answers[answer] += 1;
}

void Profile::add(const Profile& other, double factor) {
  texts += factor * other.texts;
  for (const auto& [name, count] : other.load) load[name] += factor * count;
  for (const auto& [name, count] : other.answers) answers[name] += factor * count;
  for (size_t b = 0; b < entropy.size(); ++b) entropy[b] += factor * other.entropy[b];
}

std::string answer_name(const std::string& space, const std::string& label) {
  return space + ": " + label;
}

std::string answer_name(const fusion::LabelUnion& labels, int id) {
  return answer_name(labels.spaces()[static_cast<size_t>(labels.space_of(id))].name,
                     labels.label(id));
}

Json to_json(const Profiles& profiles) {
  Json json = Json::object();
  for (const auto& [space, profile] : profiles) {
    json[space] = {{"texts", profile.texts},
                   {"load", to_json(profile.load)},
                   {"entropy", profile.entropy},
                   {"answers", to_json(profile.answers)}};
  }
  return json;
}

Profiles profiles_from(const Json& json) {
  Profiles profiles;
  Fields spaces(json.is_null() ? Json::object() : json, {"gate.toml", "E_GATE"}, "metrics.profile");
  for (const std::string& space : spaces.keys())
    if (auto table = spaces.table(space)) profiles[space] = profile_from(*table);
  return profiles;
}

Profile together(const Profiles& profiles) {
  Profile all;
  for (const auto& [space, profile] : profiles) all.add(profile);
  return all;
}

Profile in_proportion(const Profiles& profiles, const std::map<std::string, double>& texts) {
  double factor = std::numeric_limits<double>::infinity();  // texts of the result, per text wanted
  for (const auto& [space, count] : texts)
    factor = std::min(factor, profiles.at(space).texts / count);
  Profile all;
  for (const auto& [space, count] : texts)
    all.add(profiles.at(space), factor * count / profiles.at(space).texts);
  return all;
}

}  // namespace moecollab::evaluation
