#include "evaluation/gate_usage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "evaluation/metrics.h"

namespace moecollab::evaluation {
namespace {

double sum_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

size_t count_rows(std::span<const double> values, int width) {
  if (width < 1 || values.size() % static_cast<size_t>(width) != 0) {
    throw Error("E_INTERNAL", fmt::format("{} values are no rows of {}", values.size(), width));
  }
  return values.size() / static_cast<size_t>(width);
}

void require_index(const char* what, int index, int count) {
  if (index < 0 || index >= count) {
    throw Error("E_INTERNAL", fmt::format("{} index {} of {}", what, index, count));
  }
}

// Mean row of [n, width] of every domain, [D][width].
Matrix domain_means(std::span<const double> values, int width, std::span<const int> domain,
                    int domains) {
  const size_t rows = count_rows(values, width);
  if (rows != domain.size()) {
    throw Error("E_INTERNAL", fmt::format("{} rows, but the domains of {}", rows, domain.size()));
  }
  Matrix means(domains, std::vector<double>(width));
  std::vector<double> texts(domains);
  for (size_t i = 0; i < rows; ++i) {
    require_index("domain", domain[i], domains);
    ++texts[domain[i]];
    for (int e = 0; e < width; ++e) means[domain[i]][e] += values[i * width + e];
  }
  for (int d = 0; d < domains; ++d) {
    if (texts[d] == 0) throw Error("E_INTERNAL", fmt::format("domain index {} has no text", d));
    for (double& mean : means[d]) mean /= texts[d];
  }
  return means;
}

std::vector<double> column_sums(const Matrix& rows) {
  std::vector<double> sums(rows.empty() ? 0 : rows[0].size());
  for (const std::vector<double>& row : rows) {
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += row[i];
  }
  return sums;
}

std::vector<double> scaled_to_one(std::vector<double> values) {
  const double sum = sum_of(values);
  for (double& value : values) value = sum > 0 ? value / sum : kUndefined;
  return values;
}

Matrix transposed(const Matrix& rows) {
  Matrix out(rows.empty() ? 0 : rows[0].size(), std::vector<double>(rows.size()));
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < out.size(); ++j) out[j][i] = rows[i][j];
  }
  return out;
}

}  // namespace

double entropy(std::span<const double> p) {
  double sum = 0;
  for (const double value : p) {
    if (value != 0) sum -= value * std::log(value);
  }
  return sum;
}

double n_eff(std::span<const double> shares) {
  return std::exp(entropy(scaled_to_one({shares.begin(), shares.end()})));
}

double n_eff_target(std::span<const double> domain_prior) { return n_eff(domain_prior); }

std::vector<double> mean_gate(std::span<const double> gate, int experts) {
  const std::vector<int> one_domain(count_rows(gate, experts), 0);
  if (one_domain.empty()) return std::vector<double>(experts, kUndefined);
  return domain_means(gate, experts, one_domain, 1)[0];
}

std::vector<double> space_mass(std::span<const double> gate, std::span<const int> space_of_expert,
                               int spaces) {
  const size_t experts = space_of_expert.size();
  const size_t rows = count_rows(gate, static_cast<int>(experts));
  std::vector<double> mass(rows * spaces);
  for (size_t e = 0; e < experts; ++e) {
    require_index("label space", space_of_expert[e], spaces);
    for (size_t i = 0; i < rows; ++i)
      mass[i * spaces + space_of_expert[e]] += gate[i * experts + e];
  }
  return mass;
}

std::vector<int> argmax_rows(std::span<const double> values, int width) {
  std::vector<int> out(count_rows(values, width));
  for (size_t i = 0; i < out.size(); ++i) {
    const auto row = values.subspan(i * width, width);
    out[i] = static_cast<int>(std::max_element(row.begin(), row.end()) - row.begin());
  }
  return out;
}

std::vector<double> load(std::span<const double> shares, std::span<const double> ideal) {
  if (shares.size() != ideal.size()) {
    throw Error("E_INTERNAL",
                fmt::format("load of {} shares, {} ideal ones", shares.size(), ideal.size()));
  }
  std::vector<double> out = scaled_to_one({shares.begin(), shares.end()});
  const std::vector<double> wanted = scaled_to_one({ideal.begin(), ideal.end()});
  for (size_t i = 0; i < out.size(); ++i) out[i] = wanted[i] > 0 ? out[i] / wanted[i] : kUndefined;
  return out;
}

std::vector<int> dead(std::span<const double> load_of_space) {
  std::vector<int> out;
  for (size_t i = 0; i < load_of_space.size(); ++i) {
    if (load_of_space[i] < kDeadLoad) out.push_back(static_cast<int>(i));
  }
  return out;
}

std::vector<int> idle(std::span<const double> shares) {
  std::vector<int> out;
  const double bound = kIdleShare / static_cast<double>(shares.size());
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] < bound) out.push_back(static_cast<int>(i));
  }
  return out;
}

double nmi(const Matrix& joint) {
  std::vector<double> cells;
  for (const std::vector<double>& row : joint) cells.insert(cells.end(), row.begin(), row.end());
  const double rows = entropy(scaled_to_one(column_sums(transposed(joint))));
  const double columns = entropy(scaled_to_one(column_sums(joint)));
  if (rows + columns == 0) return kUndefined;
  const double mutual = rows + columns - entropy(scaled_to_one(cells));
  return std::clamp(2 * mutual / (rows + columns), 0.0, 1.0);
}

Specialisation specialisation(std::span<const double> gate, int experts,
                              std::span<const int> domain, int domains) {
  const Matrix expert_given_domain = domain_means(gate, experts, domain, domains);
  const Matrix mass = transposed(expert_given_domain);
  const std::vector<double> share = mean_gate(gate, experts);

  Specialisation out;
  out.nmi = nmi(mass);
  for (const std::vector<double>& row : expert_given_domain) {
    out.domain_entropy.push_back(entropy(row));
  }
  for (int e = 0; e < experts; ++e) {
    out.domain_given_expert.push_back(scaled_to_one(mass[e]));
    out.expert_entropy.push_back(entropy(out.domain_given_expert[e]));
    const bool defined = domains > 1 && share[e] >= kIdleShare / experts;
    // Rounding puts S of an even split a hair above ln D.
    out.score.push_back(
        defined ? std::optional(std::max(0.0, 1 - out.expert_entropy[e] / std::log(domains)))
                : std::nullopt);
  }
  return out;
}

Utilisation utilisation(std::span<const double> gate, std::span<const int> space_of_expert,
                        int spaces, std::span<const int> domain, int domains) {
  const std::vector<double> mass = space_mass(gate, space_of_expert, spaces);
  std::vector<double> chosen(mass.size());
  const std::vector<int> winners = argmax_rows(mass, spaces);
  for (size_t i = 0; i < winners.size(); ++i) chosen[i * spaces + winners[i]] = 1;
  const auto used = [&](std::span<const double> values) {
    return n_eff(column_sums(domain_means(values, spaces, domain, domains))) / spaces;
  };
  return {used(mass), used(chosen)};
}

}  // namespace moecollab::evaluation
