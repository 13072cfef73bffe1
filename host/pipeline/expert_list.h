// Every expert that a registry asks for or holds, with how far it came.
#pragma once

#include <vector>

#include "pipeline/pool.h"
#include "registry/candidate_view.h"

namespace moecollab::pipeline {

// The pool's candidates in their order. One that is ready but has no row of the registry's gate
// takes no part, and is shown as unrouted (without a gate that can be read, that is every one); one
// whose row was fitted for another package is on probation, or mismatched.
std::vector<registry::CandidateView> list_experts(const Pool& pool);

// The same for one expert, by manifests alone: what is not refused for these counts as ready.
registry::CandidateView view_of_one(const fs::path& registry, const std::string& name);

// The same without a look at the gate, each with whether the pool ran its probe vectors and they
// passed.
std::vector<registry::CandidateView> verified_experts(Pool& pool);

}  // namespace moecollab::pipeline
