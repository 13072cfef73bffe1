// Which way a new domain's texts lie from the old ones'.
#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace moecollab::training {

// Fisher's linear discriminant, and what it says of texts that it was not made from.
struct Discriminant {
  at::Tensor direction;  // [D] float64
  at::Tensor fresh,
      replay;  // [m], [n] float64: each text's score by the discriminant of the others
};

// direction = S⁻¹(mean of the new texts − mean of the other domains' means), S the covariance
// within the replay's domains, shrunk towards a multiple of the identity by the oracle
// approximating shrinkage of Chen, Wiesel, Eldar and Hero 2010 (equation 23). Few new texts are
// enough because S comes from the replay. Scores are by cross-fitting over eight folds (fewer where
// there are fewer new texts; a single one is scored as it lies), so that what is fitted on them is
// not misled by how well a direction suits its own texts. Zero where no domain of the replay is
// another one. fresh [m, D], replay [n, D]; domains [n] numbers the replay's domains from 0, and
// is_other says of each whether it is not the new one.
Discriminant fit_discriminant(const at::Tensor& fresh, const at::Tensor& replay,
                              const std::vector<int>& domains, const std::vector<bool>& is_other);

}  // namespace moecollab::training
