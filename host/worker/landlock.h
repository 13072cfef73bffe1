// Rules of the file system and the network by Landlock, for this process and those that it starts.
#pragma once

namespace moecollab::worker {

// kAll: no file can be opened, made or removed, no port used; kWriting: no file can be written,
// made or removed by its path, no port used. Where the kernel knows how, no signal leaves either.
enum class LandlockAccess { kAll, kWriting };

// False if the kernel has no Landlock.
bool enter_landlock(LandlockAccess refused);

}  // namespace moecollab::worker
