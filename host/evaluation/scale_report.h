// The results of `moecollab scale` ("moecollab.scale/1") as tables; torch-free.
#pragma once

#include <string>

#include "base/json.h"

namespace moecollab::evaluation {

inline constexpr char kScaleSchema[] = "moecollab.scale/1";

// What the terminal shows, and the same as a Markdown document. Throw E_DATA for a document of
// another form.
std::string scale_text(const Json& scale);
std::string scale_markdown(const Json& scale);

}  // namespace moecollab::evaluation
