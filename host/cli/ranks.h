// What mpirun means for the program: which verbs it may start several times, and how such a run
// ends.
#pragma once

#include "base/error.h"
#include "cli/verb.h"

namespace moecollab::cli {

// Joins the ranks if a launcher started this process. Throws E_CONFIG for a verb that runs on one
// rank, and as cluster::open_team().
void join_ranks(Program& program, const CLI::App& verb);
// The end of a run that did what it should, on all ranks, with this exit status. Throws as
// cluster::Team::finish().
void leave_ranks(Program& program, int status);
// Reports the error of a run and returns the exit status: the error is that a rank was lost, if
// that is why the run was stopped. One of several ranks ends the others, and the process, here.
int end_with(Program& program, const Error& error);

}  // namespace moecollab::cli
