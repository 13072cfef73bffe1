// Where this program lies: PREFIX/bin, PREFIX/lib and PREFIX/share, or the same in a build folder.
// All is found from the running executable, so that the whole may be moved.
#pragma once

#include <optional>

#include "base/files.h"

namespace moecollab {

// PREFIX/lib: the engine, and moecollab/plugins with the stock kinds of expert.
fs::path library_folder();

// The encoder that was installed with the program; none in a build folder.
std::optional<fs::path> installed_encoder();

// The encoder that runs unless another is named: the installed one, else that of a checkout in
// which this process stands. It need not exist.
fs::path usual_encoder();

}  // namespace moecollab
