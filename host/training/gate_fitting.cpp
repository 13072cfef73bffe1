#include "training/gate_fitting.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/error.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

// A stream of shuffles apart from that of the held-out rows, whose epochs count from 0.
constexpr int64_t kRoutingStream = int64_t{1} << 40;

[[noreturn]] void throw_diverged(const std::string& what) {
  throw Error("E_TRAIN_DIVERGED", what + "; nothing was written",
              "use smaller weights of the objective's terms, or a smaller --lr");
}

void set_gradients(gate::Gate& gate) {
  for (at::Tensor* tensor : gate.parameters()) {
    *tensor = tensor->clone().requires_grad_(true);
    tensor->mutable_grad() = at::zeros_like(*tensor);
  }
}

bool decays(const at::Tensor& parameter) { return parameter.dim() == 2; }  // biases do not

void add_terms(const gate::Objective& terms, double share, GateTerms& into) {
  // One copy from a device, not one per number.
  std::vector<at::Tensor> values = {terms.task, terms.entropy, terms.balance, terms.total};
  for (const gate::FurtherTerm& term : terms.further) values.push_back(term.value);
  const std::vector<double> numbers = encoder::to_doubles(at::stack(values).detach());
  into.task += share * numbers[0];
  into.entropy += share * numbers[1];
  into.balance += share * numbers[2];
  into.total += share * numbers[3];
  for (size_t i = 0; i < terms.further.size(); ++i)
    into.further[terms.further[i].name] += share * numbers[4 + i];
}

void scale(GateTerms& terms, double by) {
  for (double* value : {&terms.task, &terms.entropy, &terms.balance, &terms.total, &terms.routing})
    *value *= by;
  for (auto& [name, value] : terms.further) value *= by;
}

}  // namespace

at::Tensor prior_tensor(const GateTrainingOptions& options, int64_t experts) {
  if (options.prior.empty()) return at::full({experts}, 1.0 / static_cast<double>(experts));
  if (static_cast<int64_t>(options.prior.size()) != experts)
    throw std::logic_error("the prior has another length than there are experts");
  return at::tensor(options.prior, at::kDouble).to(at::kFloat);
}

GateFitting::GateFitting(const GateProblem& problem, const GateTrainingOptions& options,
                         std::vector<int64_t> rows, StopToken stop)
    : problem_(problem),
      options_(options),
      prior_(prior_tensor(options, static_cast<int64_t>(problem.experts().size()))
                 .to(problem.device())),
      rows_(std::move(rows)),
      stop_(stop),
      gate_(problem.start()),
      window_(options.objective.balance_window) {
  const auto m = static_cast<double>(problem.routing_texts());
  routing_share_ = m / (m + static_cast<double>(rows_.size()));
  if (options.gate == GateKind::kMlp) gate::add_hidden_layer(gate_, options.hidden, options.seed);
  set_gradients(gate_);
  if (options.optimizer == GateOptimizer::kAdamW) {
    std::vector<AdamW::Parameter> parameters;
    for (at::Tensor* tensor : gate_.parameters())
      parameters.push_back({*tensor, tensor->mutable_grad(), decays(*tensor)});
    adamw_.emplace(std::move(parameters),
                   AdamWOptions{.lr = options.lr, .weight_decay = options.weight_decay});
    return;
  }
  const at::Tensor index = encoder::index_tensor(rows_, problem.device());
  everything_ = {index, problem.inputs().rows(index),
                 at::arange(problem.routing_texts(), index.options()), problem.routing_inputs()};
  lbfgs_ = std::make_unique<Lbfgs>(
      flat_parameters(),
      [this](const std::vector<double>& x, std::vector<double>& g) { return evaluate(x, g); });
}

GateFitting::Batch GateFitting::batch(const at::Tensor& rows,
                                      const at::Tensor& routing_rows) const {
  return {rows, problem_.inputs().rows(rows), routing_rows,
          problem_.routing_inputs().rows(routing_rows)};
}

// The texts outside the hold-out in the order of a shuffle that begins again when all had their
// turn.
at::Tensor GateFitting::next_routing_rows(int64_t count) {
  const int64_t m = problem_.routing_texts();
  count = std::min(count, m);
  if (!routing_order_.defined() || routing_next_ + count > m) {
    routing_order_ = encoder::index_tensor(
        shuffled(m, options_.seed, kRoutingStream + routing_pass_++), problem_.device());
    routing_next_ = 0;
  }
  const at::Tensor rows = routing_order_.narrow(0, routing_next_, count);
  routing_next_ += count;
  return rows;
}

at::Tensor GateFitting::loss(const Batch& batch, gate::BalanceWindow* window, double share,
                             GateTerms& into) {
  const at::Tensor router = batch.inputs.router_logits(gate_);
  const gate::Objective terms = gate::objective(problem_.task_loss(router, batch.rows), router,
                                                prior_, options_.objective, window);
  add_terms(terms, share, into);
  if (batch.routing_rows.size(0) == 0) return terms.total;
  const at::Tensor routing =
      problem_.routing_loss(batch.routing_inputs.router_logits(gate_), batch.routing_rows);
  into.routing += share * routing.item<double>();
  return terms.total + (routing - terms.task) * routing_share_;
}

void GateFitting::count_bad_step() {
  if (!guard_.skipped()) return;
  throw_diverged(
      fmt::format("{} steps in a row had a loss or gradient that is not finite, in "
                  "epoch {} of the gate",
                  guard_.in_a_row(), epoch_));
}

bool GateFitting::finite_step(const at::Tensor& loss) {
  bool finite = std::isfinite(loss.item<double>());
  for (at::Tensor* tensor : gate_.parameters())
    finite = finite && tensor->grad().isfinite().all().item<bool>();
  if (finite) {
    guard_.taken();
    return true;
  }
  for (at::Tensor* tensor : gate_.parameters()) tensor->mutable_grad().zero_();
  count_bad_step();
  return false;
}

GateTerms GateFitting::adamw_epoch() {
  const auto n = static_cast<int64_t>(rows_.size());
  const at::Tensor order =
      encoder::index_tensor(rows_)
          .index_select(0, encoder::index_tensor(shuffled(n, options_.seed, epoch_)))
          .to(problem_.device());
  GateTerms terms;
  double counted = 0;
  for (int64_t first = 0; first < n; first += options_.batch) {
    const int64_t count = std::min(options_.batch, n - first);
    const Batch rows = batch(order.narrow(0, first, count), next_routing_rows(count));
    const double share = static_cast<double>(count) / static_cast<double>(n);
    GateTerms step;
    const at::Tensor value = loss(rows, &window_, share, step);
    value.backward();
    if (!finite_step(value)) continue;
    adamw_->step();
    counted += share;
    terms.task += step.task;
    terms.entropy += step.entropy;
    terms.balance += step.balance;
    terms.total += step.total;
    terms.routing += step.routing;
    for (const auto& [name, further] : step.further) terms.further[name] += further;
  }
  if (counted == 0)
    throw_diverged(fmt::format("no step of epoch {} had a finite loss and gradient", epoch_));
  scale(terms, 1 / counted);
  return terms;
}

std::vector<double> GateFitting::flat_parameters() {
  std::vector<double> flat;
  for (at::Tensor* tensor : gate_.parameters()) {
    const std::vector<double> values = encoder::to_doubles(tensor->detach());
    flat.insert(flat.end(), values.begin(), values.end());
  }
  return flat;
}

// Loss and gradient with the parameters x.
double GateFitting::evaluate(const std::vector<double>& x, std::vector<double>& gradient) {
  const at::Tensor flat = at::tensor(x, at::kDouble).to(at::kFloat).to(problem_.device());
  int64_t offset = 0;
  for (at::Tensor* tensor : gate_.parameters()) {
    const at::NoGradGuard no_grad;
    tensor->copy_(flat.narrow(0, offset, tensor->numel()).view_as(*tensor));
    tensor->mutable_grad().zero_();
    offset += tensor->numel();
  }
  GateTerms terms;
  at::Tensor value = loss(everything_, nullptr, 1, terms);
  const double decay = options_.weight_decay / (2 * static_cast<double>(rows_.size()));
  for (at::Tensor* tensor : gate_.parameters()) {
    if (decays(*tensor)) value = value + tensor->square().sum() * decay;
  }
  value.backward();
  last_terms_ = terms;
  last_x_ = x;
  offset = 0;
  for (at::Tensor* tensor : gate_.parameters()) {
    std::ranges::copy(encoder::to_doubles(tensor->grad()), gradient.begin() + offset);
    offset += tensor->numel();
  }
  return value.item<double>();
}

GateTerms GateFitting::lbfgs_iteration() {
  const int64_t before = lbfgs_->not_finite();
  if (!std::isfinite(lbfgs_->value())) throw_diverged("the loss of the uniform gate is not finite");
  converged_ = !lbfgs_->step();
  for (int64_t i = before; i < lbfgs_->not_finite(); ++i) count_bad_step();
  guard_.taken();
  // A search may end elsewhere than at its best point.
  if (last_x_ != lbfgs_->x()) {
    std::vector<double> gradient(lbfgs_->x().size());
    evaluate(lbfgs_->x(), gradient);
  }
  return last_terms_;
}

GateTerms GateFitting::epoch() {
  stop_.throw_if_requested("fitting was interrupted; the old gate is unchanged");
  const GateTerms terms = lbfgs_ ? lbfgs_iteration() : adamw_epoch();
  ++epoch_;
  return terms;
}

gate::Gate GateFitting::gate() const {
  gate::Gate copy = gate_;
  for (at::Tensor* tensor : copy.parameters()) *tensor = tensor->detach().clone();
  return copy;
}

}  // namespace moecollab::training
