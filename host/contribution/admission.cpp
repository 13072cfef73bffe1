#include "contribution/admission.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "encoder/features.h"
#include "training/shuffle.h"

namespace moecollab::contribution {
namespace {

// Variance of one text's difference, with the half texts of Agresti and Min.
struct Adjusted {
  double n, change, variance;
};

Adjusted adjusted(const PairedChange& c) {
  const double n = static_cast<double>(c.n) + 2;
  const double change = static_cast<double>(c.fixed - c.broke) / n;
  return {n, change, (static_cast<double>(c.fixed + c.broke) + 1) / n - change * change};
}

}  // namespace

PairedChange paired_change(const at::Tensor& before, const at::Tensor& after) {
  PairedChange c;
  c.n = before.numel();
  const auto count = [](const at::Tensor& which) { return which.sum().item<int64_t>(); };
  c.fixed = count(after.logical_and(before.logical_not()));
  c.broke = count(before.logical_and(after.logical_not()));
  const auto n = static_cast<double>(c.n);
  c.before = static_cast<double>(count(before)) / n;
  c.after = static_cast<double>(count(after)) / n;
  c.change = static_cast<double>(c.fixed - c.broke) / n;
  const Adjusted a = adjusted(c);
  const double margin = kZ95OneSided * std::sqrt(a.variance / a.n);
  c.low = a.change - margin;
  c.high = a.change + margin;
  const auto differ = static_cast<double>(c.fixed + c.broke);
  c.z = differ == 0 ? 0.0 : static_cast<double>(c.fixed - c.broke) / std::sqrt(differ);
  return c;
}

int64_t texts_needed(const PairedChange& change, double margin) {
  const Adjusted a = adjusted(change);
  const double distance = std::abs(a.change - margin);
  if (distance < 1e-9) return 0;
  const double ratio = kZ95OneSided / distance;
  return static_cast<int64_t>(std::ceil(std::min(ratio * ratio * a.variance, 1e15)));
}

std::string_view name(Verdict verdict) {
  return verdict == Verdict::kAdmit    ? "admit"
         : verdict == Verdict::kRefuse ? "refuse"
                                       : "undecided";
}

Verdict decide(const PairedChange& forced, double own_accuracy, double majority, double margin) {
  if (forced.high < margin || own_accuracy <= majority) return Verdict::kRefuse;
  return forced.low > margin ? Verdict::kAdmit : Verdict::kUndecided;
}

std::vector<double> forced_share(const std::vector<int>& spaces, const std::vector<bool>& present) {
  std::map<int, double> count;
  for (size_t e = 0; e < spaces.size(); ++e) {
    if (present[e]) count[spaces[e]] += 1;
  }
  std::vector<double> share(spaces.size(), 0.0);
  for (size_t e = 0; e < spaces.size(); ++e) {
    if (present[e]) share[e] = 1 / static_cast<double>(count.size()) / count[spaces[e]];
  }
  return share;
}

at::Tensor over_union(const at::Tensor& logits, const fusion::ExpertLabels& expert,
                      int64_t labels) {
  const at::Tensor columns = fusion::label_columns(expert);
  return at::zeros({logits.size(0), labels})
      .index_copy(1, columns, at::softmax(logits.to(at::kFloat) / expert.temperature, -1));
}

ForcedPool::ForcedPool(const std::vector<at::Tensor>& answers, std::vector<int> spaces,
                       at::Tensor targets)
    : answers_(at::stack(answers).flatten(1)),
      spaces_(std::move(spaces)),
      targets_(std::move(targets)) {}

at::Tensor ForcedPool::right(const std::vector<bool>& present) const {
  if (std::find(present.begin(), present.end(), true) == present.end())
    return at::zeros({targets_.size(0)}, at::kBool);
  const at::Tensor share = at::tensor(forced_share(spaces_, present), at::kFloat);
  return share.matmul(answers_).view({targets_.size(0), -1}).argmax(1).eq(targets_);
}

double ForcedPool::accuracy(const std::vector<bool>& present) const {
  return right(present).to(at::kDouble).mean().item<double>();
}

std::vector<double> shapley(size_t players, int orders, uint64_t seed,
                            const std::function<double(const std::vector<bool>&)>& value) {
  std::map<std::vector<bool>, double> known;
  const auto value_of = [&](const std::vector<bool>& coalition) {
    const auto it = known.find(coalition);
    return it != known.end() ? it->second : known[coalition] = value(coalition);
  };
  std::vector<double> sum(players, 0.0);
  const auto join_in = [&](const std::vector<int64_t>& order) {
    std::vector<bool> coalition(players, false);
    double before = value_of(coalition);
    for (const int64_t player : order) {
      coalition[static_cast<size_t>(player)] = true;
      const double after = value_of(coalition);
      sum[static_cast<size_t>(player)] += after - before;
      before = after;
    }
  };
  for (int i = 0; i < orders; ++i) {
    std::vector<int64_t> order = training::shuffled(static_cast<int64_t>(players), seed, i);
    join_in(order);
    std::reverse(order.begin(), order.end());
    join_in(order);
  }
  for (double& v : sum) v /= 2.0 * orders;
  return sum;
}

}  // namespace moecollab::contribution
