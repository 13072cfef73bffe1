// Runs checks, each in a process of its own with a deadline.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "conformance/check.h"
#include "conformance/subject.h"

namespace moecollab::conformance {

enum class Verdict { kPassed, kFailed, kNotApplicable };

struct Outcome {
  Check check;
  Verdict verdict = Verdict::kPassed;
  std::vector<Finding> findings;  // of kFailed; a crash, a hang or an exit is one too
  std::string reason;             // of kNotApplicable
  std::vector<std::string> notes;
  double seconds = 0;
};

// Forks, runs the check and waits for its word until the deadline. A process that dies, exits or
// hangs fails the check, with the signal and where the fault lay. What it prints is dropped, and
// what it writes into other descriptors of the host's is a finding. Its processes end with it,
// wherever they hide. Whatever the library does, there is an outcome; throws E_INTERNAL only if
// this process can have no child. `confined`: as far as the kernel can, its process changes no file
// and reaches no other process and no network (worker/confinement.h).
Outcome run_check(const Check& check, Subject& subject, std::chrono::milliseconds deadline,
                  bool confined = false);

}  // namespace moecollab::conformance
