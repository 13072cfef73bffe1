// A team whose ranks are threads of the test.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cluster/team.h"
#include "unit/cluster/memory_link.h"

namespace moecollab::cluster {

inline TeamOptions quick() {
  TeamOptions options;
  options.grace = 0.1;
  return options;
}

// Seconds; a busy machine may well leave a thread without a processor for one.
inline constexpr double kTimeout = 3;

inline TeamOptions impatient() {
  TeamOptions options = quick();
  options.timeout = kTimeout;
  return options;
}

// What work(team) of each rank threw, as "CODE: message", or "".
inline std::vector<std::string> run(MemoryNetwork& network, const std::function<void(Team&)>& work,
                                    const TeamOptions& options = quick()) {
  std::vector<std::string> ends(static_cast<size_t>(network.size()));
  std::vector<std::thread> ranks;
  for (int r = 0; r < network.size(); ++r) {
    ranks.emplace_back([&, r] {
      std::unique_ptr<Team> team;
      try {
        team = std::make_unique<Team>([&network, r] { return network.link(r); }, options);
        work(*team);
      } catch (const Error& error) {
        if (team) team->leave(error);
        ends[static_cast<size_t>(r)] = error.code() + ": " + error.what();
      } catch (const std::exception& error) {
        ends[static_cast<size_t>(r)] = error.what();
      }
    });
  }
  for (std::thread& rank : ranks) rank.join();
  return ends;
}

}  // namespace moecollab::cluster
