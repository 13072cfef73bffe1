// The contract's rules: the sentences of the SDK's headers that bind an author ("@rule NAME"), and
// what holds a library to each.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace moecollab::conformance {

struct Rule {
  const char* name;
  const char* checks;     // their ids, a space between
  const char* unchecked;  // what no check can see, and why; "": nothing
};

// Every rule, in the order of the headers. docs/contract.md is made from it and from them.
std::span<const Rule> contract();
// The same of each key of the manifest, "input.needs"; `package` holds all to what they may be.
std::span<const Rule> manifest_contract();

std::vector<std::string> checks_of(const Rule& rule);

// The rules that a check holds libraries to; none for one that only measures.
std::vector<std::string> rules_of(const std::string& check);

}  // namespace moecollab::conformance
