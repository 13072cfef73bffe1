// The results of `moecollab ablate` ("moecollab.ablation/1") as tables and charts; torch-free.
#pragma once

#include "base/json.h"
#include "evaluation/tables_page.h"

namespace moecollab::evaluation {

inline constexpr char kAblationSchema[] = "moecollab.ablation/1";

// Throws E_DATA for a document of another form.
TablesPage ablation_page(const Json& ablation);

}  // namespace moecollab::evaluation
