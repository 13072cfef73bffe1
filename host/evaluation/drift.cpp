#include "evaluation/drift.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <set>

namespace moecollab::evaluation {
namespace {

constexpr int kRounds = 400;   // of the band
constexpr uint64_t kSeed = 1;  // of its draws
// Texts drawn for either side. If both have more, psi falls as 1 / texts; of one alone that has
// more fewer are drawn, which widens the band a little.
constexpr double kMostDrawn = 5000;
constexpr double kHalf = 0.5;  // texts added to each cell
constexpr size_t kMostCells = 3;
constexpr double kLeastPart = 0.1;  // of psi, for a further cell to be named

// Two histograms over the same cells.
struct Cells {
  std::vector<std::string> names;
  std::vector<double> before, now;
};

double sum_of(const std::vector<double>& counts) {
  return std::accumulate(counts.begin(), counts.end(), 0.0);
}

std::vector<double> shares_of(const std::vector<double>& counts) {
  const double sum = sum_of(counts) + kHalf * static_cast<double>(counts.size());
  std::vector<double> shares;
  for (const double count : counts) shares.push_back((count + kHalf) / sum);
  return shares;
}

// What each cell adds to the index.
std::vector<double> parts_of_psi(const std::vector<double>& before,
                                 const std::vector<double>& now) {
  const std::vector<double> p = shares_of(before), q = shares_of(now);
  std::vector<double> parts;
  for (size_t c = 0; c < p.size(); ++c) parts.push_back((q[c] - p[c]) * std::log(q[c] / p[c]));
  return parts;
}

// `texts` drawn from cells whose cumulated shares these are.
std::vector<double> draw(const std::vector<double>& cumulated, double texts,
                         std::mt19937_64& random) {
  std::vector<double> counts(cumulated.size());
  for (int64_t i = 0; i < std::llround(texts); ++i) {
    const double at = static_cast<double>(random() >> 11) * 0x1.0p-53 * cumulated.back();
    ++counts[static_cast<size_t>(std::ranges::upper_bound(cumulated, at) - cumulated.begin())];
  }
  return counts;
}

// The quantiles of psi if both histograms were drawn from what they are together.
Interval band_of(const Cells& cells) {
  std::vector<double> cumulated;
  double sum = 0;
  for (size_t c = 0; c < cells.names.size(); ++c)
    cumulated.push_back(sum += cells.before[c] + cells.now[c]);
  const double before = sum_of(cells.before), now = sum_of(cells.now);
  const double scale = std::max(1.0, std::min(before, now) / kMostDrawn);
  const double drawn_before = std::min(before / scale, kMostDrawn),
               drawn_now = std::min(now / scale, kMostDrawn);
  std::mt19937_64 random(kSeed);
  std::vector<double> values;
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<double> first = draw(cumulated, drawn_before, random);
    values.push_back(sum_of(parts_of_psi(first, draw(cumulated, drawn_now, random))) / scale);
  }
  std::ranges::sort(values);
  const auto tail = static_cast<size_t>(kRounds * 0.005);
  return {values[tail], values[values.size() - 1 - tail]};
}

Shift shift_of(const Cells& cells) {
  const std::vector<double> parts = parts_of_psi(cells.before, cells.now);
  Shift shift{sum_of(parts), band_of(cells), {}};
  std::vector<size_t> order(parts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater(), [&](size_t c) { return parts[c]; });
  for (const size_t c : order) {
    const bool is_small = !shift.cells.empty() && parts[c] < kLeastPart * shift.psi;
    if (shift.cells.size() == kMostCells || is_small) break;
    shift.cells.push_back(
        {cells.names[c], cells.before[c] / sum_of(cells.before), cells.now[c] / sum_of(cells.now)});
  }
  return shift;
}

Cells cells_of(const std::map<std::string, double>& before,
               const std::map<std::string, double>& now) {
  std::set<std::string> names;
  for (const auto* side : {&before, &now})
    for (const auto& [name, count] : *side) names.insert(name);
  Cells cells;
  for (const std::string& name : names) {
    const auto count = [&](const std::map<std::string, double>& side) {
      const auto found = side.find(name);
      return found == side.end() ? 0.0 : found->second;
    };
    cells.names.push_back(name);
    cells.before.push_back(count(before));
    cells.now.push_back(count(now));
  }
  return cells;
}

Cells entropy_cells(const Profile& before, const Profile& now) {
  Cells cells{{}, before.entropy, now.entropy};
  double low = 0;
  for (const double high : kEntropyEdges) {
    cells.names.push_back(fmt::format("{:.2f} to {:.2f}", low, high));
    low = high;
  }
  cells.names.push_back(fmt::format("from {:.2f}", low));
  return cells;
}

Json to_json(const Shift& shift) {
  Json cells = Json::array();
  for (const Shift::Cell& cell : shift.cells)
    cells.push_back({{"name", cell.name}, {"before", cell.before}, {"now", cell.now}});
  return {{"psi", shift.psi}, {"band", {shift.band.low, shift.band.high}}, {"cells", cells}};
}

}  // namespace

Drift find_drift(const Profile& reference, const Profile& now) {
  Drift drift;
  drift.texts = now.texts;
  drift.reference = reference.texts;
  drift.load = shift_of(cells_of(reference.load, now.load));
  drift.entropy = shift_of(entropy_cells(reference, now));
  if (!reference.answers.empty() && !now.answers.empty())
    drift.answers = shift_of(cells_of(reference.answers, now.answers));
  return drift;
}

std::string describe(const Shift& shift) {
  std::string text;
  for (const Shift::Cell& cell : shift.cells)
    text += fmt::format("{}{} {:.1f} % ({:.1f} %)", text.empty() ? "" : ", ", cell.name,
                        100 * cell.now, 100 * cell.before);
  return text;
}

Json to_json(const Drift& drift) {
  return {{"texts", drift.texts},
          {"reference", drift.reference},
          {"load", to_json(drift.load)},
          {"entropy", to_json(drift.entropy)},
          {"answers", drift.answers ? to_json(*drift.answers) : Json(nullptr)}};
}

}  // namespace moecollab::evaluation
