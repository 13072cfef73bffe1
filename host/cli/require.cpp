#include "cli/require.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::cli {
namespace {

// The value at a dotted path. Expert and label-space names hold no dots, so splitting at each is
// enough.
const Json* find(const Json& report, const std::string& path) {
  const Json* value = &report;
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find('.', start), path.size());
    const auto it =
        value->is_object() ? value->find(path.substr(start, end - start)) : value->end();
    if (!value->is_object() || it == value->end()) return nullptr;
    value = &*it;
    start = end + 1;
  }
  return value;
}

const std::vector<std::string> kSections = {"domains", "overall",        "gate",
                                            "drift",   "specialisation", "training",
                                            "compute", "experts",        "provenance"};
// The figures of `overall`.
const std::vector<std::string> kFigures = {
    "accuracy",         "domain_mean",         "macro_f1",    "oracle_accuracy", "gap_to_oracle",
    "routing_accuracy", "accuracy_task_aware", "ece",         "coverage",        "mcnemar",
    "truncated",        "unknown_domain",      "reliability", "coverage_curve"};

// Which domains and experts a report will have is not known before it is made.
void require_known(const std::string& path) {
  const size_t dot = path.find('.');
  const bool overall = path.starts_with("overall.");
  const std::string word =
      overall ? path.substr(dot + 1, path.find('.', dot + 1) - dot - 1) : path.substr(0, dot);
  const std::vector<std::string>& known = overall ? kFigures : kSections;
  if (std::ranges::count(known, word) > 0) return;
  throw Error("E_CONFIG",
              fmt::format("--require: the report has no {}{}", escaped(path, 80),
                          did_you_mean(word, known)),
              fmt::format("there are {}{}", overall ? "overall." : "", join(known, ", ")));
}

}  // namespace

Requirement Requirement::parse(const std::string& expression) {
  const size_t at = expression.find_first_of("<>=");
  const size_t after = at == std::string::npos ? at : expression.find_first_not_of("<>=", at);
  Requirement r;
  if (at != std::string::npos && at > 0 && after != std::string::npos) {
    r.path = expression.substr(0, at);
    r.relation = expression.substr(at, after - at);
    char* end = nullptr;
    r.bound = std::strtod(expression.c_str() + after, &end);
    const bool known = r.relation == ">=" || r.relation == "<=" || r.relation == ">" ||
                       r.relation == "<" || r.relation == "==";
    if (known && end != expression.c_str() + after && *end == '\0') {
      if (r.path.find('.') == std::string::npos) r.path = "overall." + r.path;
      require_known(r.path);
      return r;
    }
  }
  throw Error("E_CONFIG", fmt::format("--require \"{}\" is not PATH>=NUMBER (also <=, >, <, ==)",
                                      escaped(expression, 80)));
}

void Requirement::check(const Json& report) const {
  const Json* value = find(report, path);
  if (value == nullptr || !value->is_number()) {
    throw Error("E_CONFIG",
                fmt::format("--require: the report has no number at {}", escaped(path, 80)));
  }
  const double seen = value->get<double>();
  const bool met = relation == ">="   ? seen >= bound
                   : relation == "<=" ? seen <= bound
                   : relation == ">"  ? seen > bound
                   : relation == "<"  ? seen < bound
                                      : seen == bound;
  if (!met)
    throw Error("E_REQUIRE",
                fmt::format("{} is {:.6g}, asked for {} {:g}", path, seen, relation, bound));
}

}  // namespace moecollab::cli
