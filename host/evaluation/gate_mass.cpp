#include "evaluation/gate_mass.h"

#include "evaluation/gate_usage.h"

namespace moecollab::evaluation {

GateMass gate_mass(const Figures& figures) {
  const std::vector<int>& space_of_expert = figures.gate.space_of_expert;
  const size_t spaces = figures.labels.spaces().size();
  GateMass mass{joined(figures.domains, &DomainFigures::gate),
                {},
                {},
                std::vector<double>(spaces, 0.0),
                std::vector<double>(spaces, 0.0)};
  for (const DomainFigures& domain : figures.domains)
    mass.texts_of_space[static_cast<size_t>(domain.space)] +=
        static_cast<double>(domain.truth.size());
  std::vector<double> experts_of_space(spaces, 0.0);
  for (const int space : space_of_expert) experts_of_space[static_cast<size_t>(space)] += 1;
  mass.mean = mean_gate(mass.gate, static_cast<int>(space_of_expert.size()));
  for (size_t e = 0; e < mass.mean.size(); ++e) {
    const auto space = static_cast<size_t>(space_of_expert[e]);
    mass.spaces[space] += mass.mean[e];
    mass.ideal.push_back(mass.texts_of_space[space] / experts_of_space[space]);
  }
  return mass;
}

}  // namespace moecollab::evaluation
