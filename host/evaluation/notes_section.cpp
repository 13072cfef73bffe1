// Why figures are null in this report.
#include "evaluation/report_sections.h"

namespace moecollab::evaluation {
namespace {

Json notes_json(const Figures& figures) {
  Json notes = figures.notes;
  for (const DomainFigures& domain : figures.domains) {
    if (!domain.uniform_gate.empty()) continue;
    notes.push_back(domain.answer.empty()
                        ? "uniform_gate is null: this fusion has no answer over all labels"
                        : "uniform_gate is null: some experts were not asked for every text");
    break;
  }
  return notes;
}

}  // namespace

Section notes_section() { return {"notes", &notes_json}; }

}  // namespace moecollab::evaluation
