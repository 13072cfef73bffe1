// Who may change what lies in a package.
#pragma once

#include "registry/package.h"

namespace moecollab::registry {

// Throws E_PLUG_PERM if others than their owner may change the package's folder or its library, or
// if that owner is neither this user nor root.
void require_protected(const Package& package);

// Takes the right to change anything in the folder from all but the owner. Throws E_WRITE.
void protect(const fs::path& folder);

}  // namespace moecollab::registry
