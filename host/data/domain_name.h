// The names of domains: how a folder or a person may write them, and what they are called here.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace moecollab::data {

// The name in the form that registries have, of a-z, 0-9, `_` and `-`: capitals in lower case, each
// dot and blank as `-` ("AG News" is "ag-news"). None for an empty name, one of more than 64
// characters, or with any other character.
std::optional<std::string> find_domain_name(std::string_view given);

// The same; throws E_CONFIG that says what cannot stand in `what` ("the folder data/A&B", …).
std::string domain_name(std::string_view given, std::string_view what);

}  // namespace moecollab::data
