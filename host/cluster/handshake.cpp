#include "cluster/handshake.h"

#include <fmt/format.h>

#include <stdexcept>

#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"

namespace moecollab::cluster {
namespace {

constexpr size_t kShown = 100;  // characters of a value

std::string to_bytes(const Facts& facts) {
  Json json = Json::array();
  for (const auto& [name, value] : facts) json.push_back(Json::array({name, value}));
  return to_line(json);
}

Facts parse(int rank, const std::string& bytes) {
  try {
    Facts facts;
    for (const Json& pair : parse_json(bytes))
      facts.emplace_back(pair.at(0).get<std::string>(), pair.at(1).get<std::string>());
    return facts;
  } catch (const std::exception& error) {
    throw Error("E_DIST", fmt::format("rank {} states its facts in another form: {}", rank,
                                      escaped(error.what())));
  }
}

std::string shown(const Facts& facts, size_t i) {
  if (i >= facts.size()) return "not stated";
  return fmt::format("\"{}\"", escaped(facts[i].second, kShown));
}

std::string difference(const Facts& first, int rank, const Facts& other) {
  for (size_t i = 0; i < std::max(first.size(), other.size()); ++i) {
    if (i < first.size() && i < other.size() && first[i] == other[i]) continue;
    const bool same_name =
        i < first.size() && (i >= other.size() || first[i].first == other[i].first);
    const std::string& name = i < first.size() ? first[i].first : other[i].first;
    if (i < first.size() && !same_name)
      return fmt::format("rank 0 has {}, rank {} has {} in its place", name, rank, other[i].first);
    return fmt::format("{} is {} on rank 0 and {} on rank {}", name, shown(first, i),
                       shown(other, i), rank);
  }
  return "";
}

}  // namespace

std::string first_difference(Ranks& ranks, std::string_view step, const Facts& own) {
  const std::vector<std::string> all = ranks.exchange(step, to_bytes(own));
  const Facts first = parse(0, all[0]);
  for (int r = 1; r < ranks.size(); ++r) {
    const std::string found = difference(first, r, parse(r, all[static_cast<size_t>(r)]));
    if (!found.empty()) return found;
  }
  return "";
}

void require_equal(Ranks& ranks, std::string_view step, const Facts& own) {
  const std::string found = first_difference(ranks, step, own);
  if (found.empty()) return;
  throw Error(
      "E_DIST", found,
      "all ranks must run the same command of the same build on the same registry and data; "
      "compare what both hosts were given");
}

}  // namespace moecollab::cluster
