// Whether an MPI launcher started this process, and the ranks that it then is one of.
#pragma once

#include <memory>
#include <optional>

#include "cluster/team.h"

namespace moecollab::cluster {

// What a launcher says in the environment.
struct Launched {
  int rank = 0, size = 1;
};

// nullopt if no launcher started this process. Throws E_DIST if one says what makes no sense.
// Knows mpirun of Open MPI, and `srun --mpi=pmix` of Slurm.
std::optional<Launched> launched();

// How many processes a launcher started that does not connect them, as plain `srun` and MPICH's
// mpiexec: each runs by itself. 1 if none did.
int unconnected();

// The ranks; a launcher that started one process needs no MPI. Throws E_CONFIG if this build has no
// MPI, or more ranks than kShards; and as Team's constructor.
std::unique_ptr<Team> open_team(const Launched& launched, TeamOptions options);

}  // namespace moecollab::cluster
