// JSON Schemas (draft 7) of the files whose keys a record declares.
#pragma once

#include <string>

#include "base/json.h"
#include "base/record.h"

namespace moecollab {

// Takes every document that a reader of `root` takes, and refuses what the record can express.
Json json_schema(const Record& root, const std::string& title);

}  // namespace moecollab
