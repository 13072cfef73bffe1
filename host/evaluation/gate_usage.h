// How the gate spreads its mass: load, effective experts, specialisation, utilisation.
//
// `gate` is [n, E] row-major: g_e(x), each row non-negative and summing to 1 (the dense softmax, or
// the renormalised top-k, as the report says). `domain` [n] and `space_of_expert` [E] hold indices.
// Entropies are natural logarithms (nats). Shapes that do not fit throw E_INTERNAL with both
// numbers; a value that is not defined is NaN or nullopt, which a report writes as null.
// Formulas: docs/mathematics.md, "Equation 6" and "How the gate spreads its shares".
#pragma once

#include <optional>
#include <span>
#include <vector>

namespace moecollab::evaluation {

using Matrix = std::vector<std::vector<double>>;

// An expert with a share below kIdleShare / E is idle and has no specialisation.
inline constexpr double kIdleShare = 0.1;
// A label space with a load below this is dead.
inline constexpr double kDeadLoad = 0.1;

// H(p) = −Σ p·ln p with 0·ln 0 = 0. p is taken as it is, not normalised.
double entropy(std::span<const double> p);

// Effective number: exp(H) of `shares` scaled to sum 1. NaN if they sum to 0.
double n_eff(std::span<const double> shares);

// The number that n_eff should reach: exp(H) of the domain prior (shares or counts of texts).
double n_eff_target(std::span<const double> domain_prior);

// ḡ [E]: the mean row of `gate`.
std::vector<double> mean_gate(std::span<const double> gate, int experts);

// Mass per label space: every row of `gate` summed over the experts of each space, [n, spaces].
std::vector<double> space_mass(std::span<const double> gate, std::span<const int> space_of_expert,
                               int spaces);

// Index of the greatest value of every row of [n, width]; the first of equal ones. With space_mass
// and the texts' own spaces, accuracy(own, argmax_rows(mass)) is `routing_accuracy`.
std::vector<int> argmax_rows(std::span<const double> values, int width);

// shares[i] / ideal[i], each scaled to sum 1: 1 is the ideal. NaN if nothing is ideal.
std::vector<double> load(std::span<const double> shares, std::span<const double> ideal);

// Indices of label spaces with load < kDeadLoad.
std::vector<int> dead(std::span<const double> load_of_space);

// Indices of experts with ḡ_e < kIdleShare / E; `shares` is ḡ [E].
std::vector<int> idle(std::span<const double> shares);

// Equation (6) and what belongs to it, for E experts and D domains.
struct Specialisation {
  Matrix domain_given_expert;          // [E][D] p(d|e), rows sum to 1; NaN if e has no mass
  std::vector<double> expert_entropy;  // [E] S(e) = −Σ_d p(d|e)·ln p(d|e)
  std::vector<std::optional<double>>
      score;                           // [E] 1 − S(e)/ln D in [0, 1]; nullopt if idle or D = 1
  std::vector<double> domain_entropy;  // [D] S(d) = H of the mean gate of that domain
  double nmi;                          // of expert and domain, see nmi()
};
// p(d|e) ∝ mean of g_e over the texts of d, so every domain weighs the same; idle is judged by the
// mean over all texts. Every domain in [0, domains) needs a text.
Specialisation specialisation(std::span<const double> gate, int experts,
                              std::span<const int> domain, int domains);

// Normalised mutual information 2·I(E;D) / (H(E) + H(D)) of a joint distribution [E][D], scaled to
// sum 1; in [0, 1]. NaN if both entropies are 0.
double nmi(const Matrix& joint);

// n_eff over label spaces / their number, on domains that weigh the same; in (0, 1].
struct Utilisation {
  double soft;  // of the mean mass
  double hard;  // of the share of texts whose greatest mass is on the space
};
Utilisation utilisation(std::span<const double> gate, std::span<const int> space_of_expert,
                        int spaces, std::span<const int> domain, int domains);

}  // namespace moecollab::evaluation
