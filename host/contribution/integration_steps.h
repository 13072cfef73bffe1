// What each step on a package's way into a registry came to.
#pragma once

#include <functional>
#include <string>

#include "base/files.h"
#include "base/json.h"
#include "registry/package.h"

namespace moecollab::contribution {

// registry/integration/<digest>.json, which `experts inspect` shows: one entry per step, in order.
class IntegrationSteps {
 public:
  IntegrationSteps(const fs::path& registry, const registry::Package& package,
                   const std::string& name, const std::string& command);

  // Whether write(), and a step that throws, write the file; at first not.
  void keep(bool kept) { kept_ = kept; }
  // Runs a step and returns what it came to. What it throws is recorded (as refused, undecided
  // or failed) and passed on.
  Json run(const char* step, const std::function<Json()>& body);
  void skip(const char* step, const std::string& reason);
  // Throws E_WRITE.
  void write() const;

 private:
  fs::path file_;
  bool kept_ = false;
  Json record_;
};

}  // namespace moecollab::contribution
