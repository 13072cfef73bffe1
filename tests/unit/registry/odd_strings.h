// Strings at the edges of what the registry's shapes take, and on both sides of them.
#pragma once

#include <string>
#include <vector>

namespace moecollab::registry {

std::vector<std::string> odd_strings();

// Text of U+0000 to U+07FF.
std::wstring wide(const std::string& utf8);

}  // namespace moecollab::registry
