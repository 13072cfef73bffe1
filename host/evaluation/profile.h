// What a gate does with many texts, as counts: how its weight falls, how sure it is, and what is
// answered. The profile of the texts that a gate was fitted on is kept with it (gate.toml).
#pragma once

#include <array>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "fusion/label_space.h"

namespace moecollab::evaluation {

// Upper edges of the bins of a text's entropy, as shares of ln E; the last bin has none.
inline constexpr std::array<double, 9> kEntropyEdges{0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9};

struct Profile {
  double texts = 0;
  std::map<std::string, double> load;  // of each expert: the sum of its shares
  // Texts by H(g) / ln E.
  std::vector<double> entropy = std::vector<double>(kEntropyEdges.size() + 1);
  std::map<std::string, double> answers;  // texts by "space: label"; empty if nothing is answered

  // Counts a text: the gate's shares of these experts [E], which sum to 1, before top-k and caps,
  // and what is answered ("": nothing).
  void add(std::span<const std::string> experts, std::span<const double> shares,
           const std::string& answer);
  // Counts as many texts as `other` has, times `factor`.
  void add(const Profile& other, double factor = 1);
};

// A label as a profile names it.
std::string answer_name(const std::string& space, const std::string& label);
std::string answer_name(const fusion::LabelUnion& labels, int id);

// By the label space that the texts are of.
using Profiles = std::map<std::string, Profile>;

Json to_json(const Profiles& profiles);
// Throws E_GATE naming the key of gate.toml that is none of a profile.
Profiles profiles_from(const Json& json);

// All of them as one, by the texts that each has.
Profile together(const Profiles& profiles);
// The same with the label spaces in the proportions of `texts`; no space counts for more texts than
// it has. Every space named must be there.
Profile in_proportion(const Profiles& profiles, const std::map<std::string, double>& texts);

}  // namespace moecollab::evaluation
