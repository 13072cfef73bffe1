// Which way a new domain's texts lie from the old ones', and these from each other.
#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace moecollab::training {

// Fisher's linear discriminants, and what they say of texts that they were not made from.
struct Discriminants {
  at::Tensor directions;     // [K, D] float64
  at::Tensor fresh, replay;  // [m, K], [n, K] float64: each text's scores by those of the others
};

// directions: S⁻¹(c − c̄) for the mean c of the new texts, and then, if there are at least two
// other domains, for that of each of them; c̄ is the mean of the other domains' means, S the
// covariance within the domains and the new texts, shrunk towards a multiple of the identity by the
// oracle approximating shrinkage of Chen, Wiesel, Eldar and Hero 2010 (equation 23). Few new texts
// are enough because S comes from the replay. Scores are by cross-fitting over eight folds (fewer
// if there are fewer new texts; a single one is scored as it lies), so that what is fitted on
// them is not misled by how well a direction suits its own texts; a domain that a fold leaves
// nothing of has no direction there, and scores of zero. One direction, zero, if no
// domain of the replay is another one. fresh [m, D], replay [n, D]; domains [n] numbers the
// replay's domains from 0, and is_other says of each whether it is not the new one.
Discriminants fit_discriminants(const at::Tensor& fresh, const at::Tensor& replay,
                                const std::vector<int>& domains, const std::vector<bool>& is_other);

}  // namespace moecollab::training
