#include "evaluation/figures.h"

#include <cmath>

namespace moecollab::evaluation {

std::vector<int> domain_of_texts(const std::vector<DomainFigures>& domains) {
  std::vector<int> index;
  for (size_t d = 0; d < domains.size(); ++d)
    index.insert(index.end(), domains[d].truth.size(), static_cast<int>(d));
  return index;
}

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json text_or_null(const std::optional<std::string>& text) {
  return text ? Json(*text) : Json(nullptr);
}

}  // namespace moecollab::evaluation
