// Why figures are null in this report.
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "evaluation/answer_scores.h"
#include "evaluation/report_sections.h"

namespace moecollab::evaluation {
namespace {

constexpr size_t kMostNamed = 8;

// A note on a domain whose texts do not have every label of its space; "": they do.
std::string absent_labels(const Figures& figures, const DomainFigures& domain) {
  const std::vector<int> ids = label_ids(figures.labels, domain.space);
  const std::vector<int> there = present(ids, domain.truth);
  if (there.size() == ids.size()) return "";
  std::vector<std::string> absent;
  for (const int id : ids)
    if (std::ranges::find(there, id) == there.end()) absent.push_back(figures.labels.label(id));
  const size_t count = absent.size();
  absent.resize(std::min(count, kMostNamed));
  return fmt::format(
      "{} of the {} labels of {} have no text in domain {} ({}{}): macro_f1 counts "
      "them as 0, macro_f1_present leaves them out",
      count, ids.size(), figures.labels.spaces()[static_cast<size_t>(domain.space)].name,
      domain.domain, join(absent, ", "), count > kMostNamed ? ", …" : "");
}

Json notes_json(const Figures& figures) {
  Json notes = figures.notes;
  for (const DomainFigures& domain : figures.domains)
    if (const std::string note = absent_labels(figures, domain); !note.empty())
      notes.push_back(note);
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
