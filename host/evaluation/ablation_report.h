// The results of `moecollab ablate` ("moecollab.ablation/1") as tables; torch-free.
#pragma once

#include <string>

#include "base/json.h"

namespace moecollab::evaluation {

inline constexpr char kAblationSchema[] = "moecollab.ablation/1";

// What the terminal shows, and the same as a Markdown document. Throw E_DATA for a document of
// another form.
std::string ablation_text(const Json& ablation);
std::string ablation_markdown(const Json& ablation);

}  // namespace moecollab::evaluation
