// p(d|e): where the mass of each expert falls.
#include "evaluation/gate_usage.h"
#include "evaluation/report_sections.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

Json specialisation_json(const Figures& figures) {
  const std::vector<DomainFigures>& domains = figures.domains;
  const std::vector<std::string>& experts = figures.gate.experts;
  const Specialisation s =
      specialisation(joined(domains, &DomainFigures::gate), static_cast<int>(experts.size()),
                     domain_of_texts(domains), static_cast<int>(domains.size()));
  Json matrix = Json::object(), per_expert = Json::object();
  for (size_t e = 0; e < experts.size(); ++e) {
    for (size_t d = 0; d < domains.size(); ++d)
      matrix[experts[e]][domains[d].domain] = number(s.domain_given_expert[e][d]);
    per_expert[experts[e]] = s.score[e] ? number(*s.score[e]) : Json(nullptr);
  }
  return {{"matrix", matrix}, {"per_expert", per_expert}, {"nmi", number(s.nmi)}};
}

// Experts by domains, with heat.
Content shares(const Json& report) {
  Table table{{{"Expert"}}, {}};
  const Json& domains = object_at(report, {"domains"});
  for (const auto& [domain, unused] : domains.items()) table.columns.push_back({domain, true});
  table.columns.push_back({"Score", true});
  for (const auto& [expert, unused] : object_at(report, {"specialisation", "matrix"}).items()) {
    Row row{{expert}};
    for (const auto& [domain, unused_too] : domains.items()) {
      const auto share = number_at(report, {"specialisation", "matrix", expert, domain});
      row.push_back({decimal(share, 2), "", share});
    }
    row.push_back({score(number_at(report, {"specialisation", "per_expert", expert}))});
    table.rows.push_back(std::move(row));
  }
  return table;
}

constexpr Part kSpecialisationParts[] = {
    {"Specialisation",
     "p(d|e): where the mass of each expert falls, domains weighted equally (equation 6). Score: "
     "1 − S(e)/ln D, from 0 (everywhere) to 1 (one domain).",
     &shares,
     {.markdown = 70, .html = 60}}};

}  // namespace

Section specialisation_section() {
  return {"specialisation", &specialisation_json, kSpecialisationParts};
}

}  // namespace moecollab::evaluation
