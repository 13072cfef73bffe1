// The list of the report's sections, in the order of its JSON. Each is defined in the file of its
// name; a new one is such a file, and its two lines here.
#pragma once

#include "evaluation/section.h"

namespace moecollab::evaluation {

Section domains_section();
Section overall_section();
Section diagnosis_section();
Section gate_section();
Section drift_section();
Section specialisation_section();
Section training_section();
Section compute_section();
Section experts_section();
Section examples_section();
Section notes_section();
Section provenance_section();

inline Sections report_sections() {
  return {
      domains_section(), overall_section(),        diagnosis_section(), gate_section(),
      drift_section(),   specialisation_section(), training_section(),  compute_section(),
      experts_section(), examples_section(),       notes_section(),     provenance_section(),
  };
}

}  // namespace moecollab::evaluation
