#include "base/shared_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/finished_lines.h"
#include "base/strings.h"

namespace moecollab {
namespace {

using Numbers = std::vector<size_t>;

struct Plan {
  Numbers missing;
  Numbers at_once;  // by rank
};

Numbers missing_of(const SharedParts& parts) {
  Numbers missing;
  for (size_t part = 0; part < parts.count; ++part)
    if (!parts.is_finished(part)) missing.push_back(part);
  return missing;
}

// What `read` makes of a rank's gift.
template <typename Read>
auto parsed(int rank, const std::string& gift, const Read& read) {
  try {
    return read(parse_json(gift));
  } catch (const std::exception& error) {
    throw Error("E_DIST", fmt::format("rank {} states its parts in another form: {}", rank,
                                      escaped(error.what())));
  }
}

// All ranks come to the same plan: what is missing the first says, and each how many it computes.
Plan agree(const SharedParts& parts, Ranks& ranks) {
  const Json own = {{"at_once", std::max<size_t>(parts.at_once, 1)},
                    {"missing", ranks.leads() ? missing_of(parts) : Numbers()}};
  const std::vector<std::string> all =
      ranks.exchange(fmt::format("{} {}s", parts.count, parts.unit), to_line(own));
  Plan plan;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    parsed(rank, all[static_cast<size_t>(rank)], [&](const Json& json) {
      plan.at_once.push_back(json.at("at_once").get<size_t>());
      if (rank == 0) plan.missing = json.at("missing").get<Numbers>();
    });
  }
  return plan;
}

// The next round's parts, by rank: one to each in turn, so that the last few are shared as well.
std::vector<Numbers> next_round(std::span<const size_t>& missing, const Numbers& at_once) {
  std::vector<Numbers> shares(at_once.size());
  for (bool any = true; any;) {
    any = false;
    for (size_t rank = 0; rank < shares.size() && !missing.empty(); ++rank) {
      if (shares[rank].size() >= at_once[rank]) continue;
      shares[rank].push_back(missing.front());
      missing = missing.subspan(1);
      any = true;
    }
  }
  return shares;
}

void keep_lines(const SharedParts& parts, int rank, Numbers dealt, const std::string& gift) {
  using Lines = std::vector<std::pair<size_t, Json>>;
  Lines lines = parsed(rank, gift, [](const Json& json) { return json.get<Lines>(); });
  Numbers given;
  for (const auto& [part, line] : lines) given.push_back(part);
  std::ranges::sort(given);
  std::ranges::sort(dealt);
  if (given != dealt) {
    throw Error("E_DIST", fmt::format("rank {} was dealt the {}s {}, and hands back {}", rank,
                                      parts.unit, to_line(dealt), to_line(given)));
  }
  for (auto& [part, line] : lines) parts.keep(part, std::move(line));
}

void run_round(const SharedParts& parts, const std::vector<Numbers>& shares, Ranks& ranks) {
  Json lines = Json::array();  // the first rank keeps its own at once
  const SharedParts::Take done = [&](size_t part, Json line) {
    if (ranks.leads()) return parts.keep(part, std::move(line));
    lines.push_back(Json::array({part, std::move(line)}));
  };
  const Numbers& own = shares[static_cast<size_t>(ranks.rank())];
  if (!own.empty()) parts.compute(own, done);
  const std::vector<std::string> all =
      ranks.exchange(fmt::format("results of {}s", parts.unit), to_line(lines));
  if (!ranks.leads()) return;
  for (int rank = 1; rank < ranks.size(); ++rank) {
    const auto at = static_cast<size_t>(rank);
    keep_lines(parts, rank, shares[at], all[at]);
  }
}

}  // namespace

void finish_parts(const SharedParts& parts, Ranks* ranks) {
  const bool several = are_several(ranks);
  const Plan plan = several ? agree(parts, *ranks) : Plan{missing_of(parts), {}};
  if (plan.missing.empty()) return;
  const std::string kept =
      parts.unit + (several ? "s that the first rank has" : "s that are finished");
  name_what_is_kept(kept, [&] {
    parts.prepare(plan.missing);
    if (!several) return parts.compute(plan.missing, parts.keep);
    for (std::span<const size_t> left = plan.missing; !left.empty();)
      run_round(parts, next_round(left, plan.at_once), *ranks);
  });
}

}  // namespace moecollab
