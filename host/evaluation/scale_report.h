// The results of `moecollab scale` ("moecollab.scale/1") as tables and charts; torch-free.
#pragma once

#include "base/json.h"
#include "evaluation/tables_page.h"

namespace moecollab::evaluation {

inline constexpr char kScaleSchema[] = "moecollab.scale/1";

// Throws E_DATA for a document of another form.
TablesPage scale_page(const Json& scale);

}  // namespace moecollab::evaluation
