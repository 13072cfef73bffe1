// --require EXPR: a threshold on a figure of the report.
#pragma once

#include <string>

#include "base/json.h"

namespace moecollab::cli {

// "overall.macro_f1>=0.85": a dotted path (a bare name means overall.), one of >= <= > < ==, a
// number.
struct Requirement {
  std::string path, relation;
  double bound = 0;

  // Throws E_CONFIG for an expression of another form, and for a path that no report has.
  static Requirement parse(const std::string& expression);
  // Throws E_CONFIG if the report has no number there, E_REQUIRE naming both values if it is not
  // met.
  void check(const Json& report) const;
};

}  // namespace moecollab::cli
