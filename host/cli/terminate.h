// How the program ends where nothing can be caught any more.
#pragma once

namespace moecollab::cli {

// Some libraries' functions may not throw (destructors of JSON values, parts of the TOML parser),
// so that a lack of memory there ends the process. From then on it says so as elsewhere and exits
// with 1; whatever else ends it so is left to the handler that was there.
void say_lack_of_memory();

}  // namespace moecollab::cli
