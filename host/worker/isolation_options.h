// What a run asks for about processes of experts.
#pragma once

namespace moecollab::worker {

// Beside the registry's policy; each only tightens it.
struct IsolationOptions {
  bool all = false;              // every expert in a process of its own
  bool require_sandbox = false;  // refuse one whose sandbox is not full
  bool safe_mode = false;        // refuse whose library did not come with the program
};

}  // namespace moecollab::worker
