#include "training/growth.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/probability.h"
#include "encoder/features.h"
#include "training/discriminant.h"
#include "training/growth_shares.h"
#include "training/lbfgs.h"

namespace moecollab::training {
namespace {

constexpr double kLeastLength = 1e-12;  // of a mean that is divided by
constexpr double kSure = 4;  // nats that a prototype beside rows of zero says at its mean
constexpr int32_t kIterations = 200;
constexpr double kPull = 1e-2;  // towards the prototype, if nothing else holds the rows
constexpr double kTilt = 1e-4;  // towards the new texts' own discriminant
constexpr double kRest = 1e-9;  // the loss rests once an iteration gains less, relatively

}  // namespace

void require_growable(const gate::Gate& gate) {
  if (gate::can_grow(gate)) return;
  throw Error("E_GATE", "the gate has a hidden layer, and no rows are grown for such gates",
              "fit it again with `moecollab train-gate`");
}

std::vector<int64_t> GrowthSetting::sharing() const {
  std::vector<int64_t> own = experts_in(experts.back().space, experts);
  std::erase_if(own, [&](int64_t e) { return e >= gate.experts(); });
  return own;
}

int64_t GrowthSetting::new_rows() const {
  if (!gate.is_factored()) return new_experts();
  return sharing().empty() ? 1 : 0;
}

namespace {

// The gate that the new rows are for: that over the spaces, of a gate in two factors.
gate::Gate rows_of(const gate::Gate& gate) {
  gate::Gate rows = gate;
  if (!gate.is_factored()) return rows;
  rows.weight = gate.space_weight;
  rows.bias = gate.space_bias;
  rows.space_weight = at::Tensor();
  rows.space_bias = at::Tensor();
  return rows;
}

// Where an expert's classes hold the targets [n]; −1 if it does not know the label.
at::Tensor class_of(const fusion::ExpertLabels& expert, const at::Tensor& targets, int64_t labels) {
  std::vector<int64_t> place(static_cast<size_t>(labels) + 1, -1);  // the last: no target
  for (size_t c = 0; c < expert.columns.size(); ++c)
    place[static_cast<size_t>(expert.columns[c])] = static_cast<int64_t>(c);
  return encoder::index_tensor(place).index_select(0, at::where(targets < 0, labels, targets));
}

// [n, E]: what each expert's share of the gate is worth to a text, p_e(y|x) if label and answer
// are known (see RowFit for the others). Float64.
at::Tensor worth_of_experts(const GrowthSetting& setting, const AnsweredTexts& texts) {
  const int64_t labels = setting.labels.size();
  std::vector<at::Tensor> columns, guessed;
  for (size_t e = 0; e < setting.experts.size(); ++e) {
    const fusion::ExpertLabels& expert = setting.experts[e];
    const at::Tensor own = texts.spaces.eq(expert.space), labelled = texts.targets >= 0,
                     known = texts.is_known(e);
    const at::Tensor place = class_of(expert, texts.targets, labels);
    const at::Tensor p = at::softmax(texts.logits[e].to(at::kDouble) / expert.temperature, -1)
                             .gather(1, place.clamp_min(0).unsqueeze(1))
                             .squeeze(1);
    const at::Tensor zero = at::zeros_like(p);
    const at::Tensor answered = at::where(place >= 0, p, zero);
    guessed.push_back(labelled.logical_and(known.logical_not()).logical_and(own));
    columns.push_back(at::where(labelled, at::where(known, answered, zero), own.to(at::kDouble)));
  }
  at::Tensor value = at::stack(columns, 1);
  const at::Tensor unknown = at::stack(guessed, 1);
  std::vector<at::Tensor> same;
  for (const fusion::ExpertLabels& expert : setting.experts)
    same.push_back(texts.spaces.eq(expert.space));
  const at::Tensor informed = at::stack(same, 1).logical_and(unknown.logical_not());
  const at::Tensor count = informed.sum(1, /*keepdim=*/true).to(at::kDouble);
  const at::Tensor mean = (value * informed).sum(1, /*keepdim=*/true) / count.clamp_min(1) +
                          count.eq(0).to(at::kDouble);
  return at::where(unknown, mean.expand_as(value), value);
}

// Weights [n]: the new texts together 1, a domain of the replay its own, and all that divided by
// what it would sum to if each domain's were 1.
at::Tensor text_weights(int64_t fresh, const std::vector<int>& replay_domains,
                        const std::vector<double>& of_domain) {
  std::map<int, double> count;
  for (const int domain : replay_domains) count[domain] += 1;
  const auto weight = [&](int domain) {
    const auto d = static_cast<size_t>(domain);
    return d < of_domain.size() ? of_domain[d] : 1.0;
  };
  const double total = 1 + static_cast<double>(count.size());
  std::vector<double> weights(static_cast<size_t>(fresh), 1 / total / static_cast<double>(fresh));
  for (const int domain : replay_domains) weights.push_back(weight(domain) / total / count[domain]);
  return at::tensor(weights, at::kDouble);
}

// The loss of a RowFit in (c_1 … c_K, b_1 … b_k): new row e says Σ c·score(x) + b_e of a text.
class RowLoss {
 public:
  // old [n, R]: router logits of the old rows; worth [n, R + k]; scores [n, K]; `pull` towards
  // `start`, both [K + k].
  RowLoss(const at::Tensor& old, const at::Tensor& worth, at::Tensor scores, at::Tensor start,
          at::Tensor pull)
      : directions_(scores.size(1)),
        rows_(worth.size(1) - old.size(1)),
        scores_(std::move(scores)),
        start_(std::move(start)),
        pull_(std::move(pull)) {
    const at::Tensor log_worth = worth.clamp_min(kLeastProbability).log();
    old_ = old.logsumexp(1, true);
    old_useful_ = (old + log_worth.narrow(1, 0, old.size(1))).logsumexp(1, true);
    new_log_worth_ = log_worth.narrow(1, old.size(1), rows_);
  }

  // weights [n] of the texts.
  double operator()(const at::Tensor& parameters, const at::Tensor& weights,
                    at::Tensor& gradient) const {
    const at::Tensor added = scores_.mv(parameters.narrow(0, 0, directions_)).unsqueeze(1) +
                             parameters.narrow(0, directions_, rows_);
    const at::Tensor router = at::cat({old_, added}, 1),
                     useful = at::cat({old_useful_, added + new_log_worth_}, 1);
    const at::Tensor loss = (router.logsumexp(1) - useful.logsumexp(1)).dot(weights);
    const at::Tensor slope =
        ((at::softmax(router, 1) - at::softmax(useful, 1)) * weights.unsqueeze(1))
            .narrow(1, 1, rows_);
    const at::Tensor away = parameters - start_;
    gradient = at::cat({scores_.t().mv(slope.sum(1)), slope.sum(0)}) + pull_ * away;
    return loss.item<double>() + 0.5 * (pull_ * away.square()).sum().item<double>();
  }

 private:
  int64_t directions_, rows_;
  at::Tensor scores_, start_, pull_, old_, old_useful_, new_log_worth_;
};

// What all new rows share: how far a text lies along each direction.
struct Lines {
  at::Tensor directions;   // [K, D]
  at::Tensor mean, scale;  // [K]: a score is (direction·x − mean) / scale
  at::Tensor scores;       // [n, K] of the new texts and then the replay
  at::Tensor start;        // [K + k], the c and b that the fit sets out from
  at::Tensor pull;         // [K + k], towards `start`
};

Lines along_prototype(const GrowthSetting& setting, const AnsweredTexts& fresh) {
  const NewRows prototype = prototype_rows(setting, fresh.z);
  const at::Tensor w = prototype.weight.narrow(0, 0, 1).to(at::kDouble),
                   one = at::ones({1}, at::kDouble), b = prototype.bias.to(at::kDouble);
  return {w,
          at::zeros_like(one),
          one,
          setting.gate.standardised(fresh.z).to(at::kDouble).matmul(w.t()),
          at::cat({one, b}),
          kPull * at::cat({w.square().sum().unsqueeze(0), at::ones_like(b)})};
}

Lines along_discriminants(const GrowthSetting& setting, const AnsweredTexts& fresh,
                          const AnsweredTexts& replay, int own_domain) {
  const std::vector<int>& domains = replay.domain_of;
  std::vector<bool> is_other(
      static_cast<size_t>(*std::max_element(domains.begin(), domains.end())) + 1, true);
  if (own_domain >= 0 && own_domain < static_cast<int>(is_other.size()))
    is_other[static_cast<size_t>(own_domain)] = false;
  const Discriminants found = fit_discriminants(
      setting.gate.standardised(fresh.z), setting.gate.standardised(replay.z), domains, is_other);
  const at::Tensor mean = found.replay.mean(0), deviation = found.replay.std(0, false),
                   scale = at::where(deviation > 0, deviation, at::ones_like(deviation));
  const int64_t directions = mean.size(0);
  const at::Tensor start = at::zeros({directions + setting.new_rows()}, at::kDouble);
  at::Tensor pull = at::zeros_like(start);
  pull.narrow(0, 1, directions - 1).fill_(kTilt);
  return {found.directions,
          mean,
          scale,
          (at::cat({found.fresh, found.replay}) - mean) / scale,
          start,
          pull};
}

// [n]: the share, among the experts of the text's own space, of those whose answer is not known, if
// that space pools logarithms.
at::Tensor unknown_of_pool(const std::vector<fusion::ExpertLabels>& experts,
                           const AnsweredTexts& texts, const at::Tensor& weights) {
  at::Tensor unknown = at::zeros({texts.rows()}), all = at::zeros({texts.rows()});
  for (size_t e = 0; e < experts.size(); ++e) {
    if (experts[e].pool != fusion::OpinionPool::kLogarithmic) continue;
    const at::Tensor share =
        weights.select(1, static_cast<int64_t>(e)) * texts.spaces.eq(experts[e].space);
    all += share;
    unknown += share * texts.is_known(e).logical_not();
  }
  return unknown / all.clamp_min(kLeastProbability);
}

// [n]: whether a label of probabilities p [n, |Y|] stays ahead of its rival if that share of the
// logarithms says the least of it and all of the rival.
at::Tensor withstands(const at::Tensor& share, const at::Tensor& p, const at::Tensor& label,
                      const at::Tensor& rival) {
  const at::Tensor ahead =
      p.gather(1, label).squeeze(1).log() - rival.clamp_min(kLeastProbability).log();
  return (ahead * (1 - share) + share * std::log(kLeastProbability)).gt(0);
}

at::Tensor to_tensor(const std::vector<double>& values) {
  return at::tensor(at::ArrayRef<double>(values), at::kDouble);
}

// Over the text's own label space only.
at::Tensor right_in_own_space(const at::Tensor& fused, const AnsweredTexts& texts,
                              const fusion::LabelUnion& labels, fusion::Mode fusion) {
  at::Tensor right = at::zeros({texts.rows()}, at::kBool);
  for (size_t s = 0; s < labels.spaces().size(); ++s) {
    const at::Tensor rows = texts.spaces.eq(static_cast<int64_t>(s)).nonzero().flatten();
    if (rows.numel() == 0) continue;
    const at::Tensor answer =
        fusion::predict(fusion, fused.index_select(0, rows), labels, static_cast<int>(s));
    right.index_copy_(0, rows, answer.eq(texts.targets.index_select(0, rows)));
  }
  return right;
}

}  // namespace

NewRows prototype_rows(const GrowthSetting& setting, const at::Tensor& z) {
  require_growable(setting.gate);
  NewRows rows;
  if (setting.gate.is_factored()) share_space(setting, {}, {}, rows);
  const int64_t k = setting.new_rows();
  if (k == 0) return rows;
  const gate::Gate gate = rows_of(setting.gate);
  const at::Tensor mean = gate.standardised(z).mean(0);
  const double norm = std::max(mean.norm().item<double>(), kLeastLength),
               old = gate.weight.norm(2, 1).mean().item<double>(),
               length = old > kLeastLength ? old : 2 * kSure / norm;
  const at::Tensor w = mean * (length / norm);
  const at::Tensor halfway = mean / 2;
  const double others = (gate.weight.matmul(halfway) + gate.bias).logsumexp(0).item<double>();
  const double b = others - w.dot(halfway).item<double>() - std::log(static_cast<double>(k));
  rows.weight = w.unsqueeze(0).repeat({k, 1});
  rows.bias = at::full({k}, b, at::kFloat);
  return rows;
}

struct RowFit::State {
  struct Search {
    Lines lines;
    RowLoss loss;
    std::vector<double> x;  // in the lines' units
  };
  int64_t fresh;
  std::vector<int> replay_domains;
  NewRows found;                 // what all calls have in common
  std::optional<Search> search;  // if there are rows to find
};

RowFit::RowFit(const GrowthSetting& setting, const AnsweredTexts& fresh,
               const AnsweredTexts& replay, int own_domain, const ShareFit& shares) {
  require_growable(setting.gate);
  if (fresh.rows() == 0)
    throw Error("E_DATA", "there is no text of the new domain to fit its rows on",
                "give some with --data or --data-dir");
  state_ = std::make_unique<State>(State{fresh.rows(), replay.domain_of, {}, {}});
  const AnsweredTexts texts = joined(fresh, replay);
  if (setting.gate.is_factored()) share_space(setting, texts, shares, state_->found);
  if (setting.new_rows() == 0) return;
  Lines lines = replay.rows() == 0 ? along_prototype(setting, fresh)
                                   : along_discriminants(setting, fresh, replay, own_domain);
  RowLoss loss(rows_of(setting.gate).router_logits(texts.z).to(at::kDouble),
               setting.gate.is_factored() ? worth_of_spaces(setting, *state_->found.shares, texts)
                                          : worth_of_experts(setting, texts),
               lines.scores, lines.start, lines.pull);
  std::vector<double> start = encoder::to_doubles(lines.start);
  state_->search.emplace(State::Search{std::move(lines), std::move(loss), std::move(start)});
}

RowFit::~RowFit() = default;

NewRows RowFit::rows(const std::vector<double>& weights) {
  NewRows rows = state_->found;
  if (!state_->search) return rows;
  State::Search& search = *state_->search;
  const at::Tensor of_text = text_weights(state_->fresh, state_->replay_domains, weights);
  Lbfgs minimiser(search.x, [&](const std::vector<double>& x, std::vector<double>& gradient) {
    at::Tensor slope;
    const double value = search.loss(to_tensor(x), of_text, slope);
    gradient = encoder::to_doubles(slope);
    return value;
  });
  while (rows.iterations < kIterations && std::isfinite(minimiser.value())) {
    const double before = minimiser.value();
    if (!minimiser.step()) break;
    ++rows.iterations;
    if (before - minimiser.value() <= kRest * (1 + std::abs(before))) break;
  }
  if (!std::isfinite(minimiser.value())) {
    throw Error("E_TRAIN_DIVERGED", "the new row's loss is not finite; the gate is unchanged",
                "check the new expert with `moecollab experts verify`");
  }
  search.x = minimiser.x();
  const Lines& lines = search.lines;
  const at::Tensor x = to_tensor(search.x);
  const int64_t directions = lines.directions.size(0), count = x.size(0) - directions;
  const at::Tensor c = x.narrow(0, 0, directions) / lines.scale;
  rows.weight = lines.directions.t().mv(c).to(at::kFloat).unsqueeze(0).repeat({count, 1});
  rows.bias = (x.narrow(0, directions, count) - lines.mean.dot(c)).to(at::kFloat).contiguous();
  rows.loss = minimiser.value();
  return rows;
}

gate::Gate extended(const gate::Gate& gate, const NewRows& rows,
                    const std::vector<int64_t>& sharing) {
  gate::Gate out = gate;
  if (!gate.is_factored()) {
    out.weight = at::cat({gate.weight, rows.weight});
    out.bias = at::cat({gate.bias, rows.bias});
    return out;
  }
  const auto old = std::ssize(sharing);
  const int64_t added = rows.shares->bias.size(0) - old, spaces = gate.space_bias.size(0);
  const at::Tensor index = encoder::index_tensor(sharing);
  const auto with_shares = [&](const at::Tensor& before, const at::Tensor& shares) {
    return at::cat(
        {before.index_copy(0, index, shares.narrow(0, 0, old)), shares.narrow(0, old, added)});
  };
  out.weight = with_shares(gate.weight, rows.shares->weight);
  out.bias = with_shares(gate.bias, rows.shares->bias);
  const int64_t space = old == 0 ? spaces : gate.spaces[static_cast<size_t>(sharing.front())];
  out.spaces.insert(out.spaces.end(), static_cast<size_t>(added), space);
  if (old > 0) return out;
  out.space_weight = at::cat({gate.space_weight, rows.weight});
  out.space_bias = at::cat({gate.space_bias, rows.bias});
  return out;
}

GrownGate before(const GrowthSetting& setting) {
  const int64_t old = setting.gate.experts();
  return {setting.gate,
          {setting.experts.begin(), setting.experts.begin() + old},
          setting.caps.defined() ? setting.caps.narrow(0, 0, old) : setting.caps};
}

GrownGate grown(const GrowthSetting& setting, const NewRows& rows) {
  GrownGate after{extended(setting.gate, rows, setting.sharing()), setting.experts, setting.caps};
  for (fusion::ExpertLabels& expert : after.experts)
    if (rows.shares && expert.space == setting.experts.back().space)
      expert.pool = rows.shares->pool;
  return after;
}

at::Tensor answered_right(const GrownGate& gate, const fusion::LabelUnion& labels,
                          const AnsweredTexts& texts, fusion::Mode fusion, int64_t top_k) {
  const size_t experts = gate.experts.size();
  at::Tensor weights = gate::routing_weights(gate.gate.router_logits(texts.z),
                                             std::min(top_k, static_cast<int64_t>(experts)));
  if (gate.caps.defined()) weights = gate::capped(weights, gate.caps);
  at::Tensor unknown = at::zeros({texts.rows()});  // mass of experts whose answer is not known
  const at::Tensor doubt = unknown_of_pool(gate.experts, texts, weights);
  std::vector<at::Tensor> logits;
  for (size_t e = 0; e < experts; ++e) {
    const at::Tensor missing = texts.is_known(e).logical_not();
    at::Tensor share = weights.select(1, static_cast<int64_t>(e));
    unknown += share * missing;
    share.masked_fill_(missing, 0.0);
    logits.push_back(texts.logits[e].nan_to_num(0.0));
  }
  if (fusion != fusion::Mode::kMixture && unknown.gt(0).any().item<bool>()) {
    throw Error("E_CONFIG",
                fmt::format("kept replay has no answers of the new expert, which {} fusion needs",
                            fusion::name(fusion)),
                "give the old domains' training data with --data-dir");
  }
  const at::Tensor fused = fusion::fuse(fusion, weights, logits, gate.experts, labels);
  if (!fusion::is_task_agnostic(fusion)) return right_in_own_space(fused, texts, labels, fusion);
  const at::Tensor own = texts.targets.unsqueeze(1);
  const at::Tensor right = fused.argmax(1).eq(texts.targets);
  const at::Tensor p = fused.exp();
  const at::Tensor rival = std::get<0>(p.scatter(1, own, -1.0).max(1));
  const at::Tensor sure = p.gather(1, own).squeeze(1) > rival + unknown;
  return at::where(unknown > 0, sure.logical_and(withstands(doubt, p, own, rival)), right);
}

}  // namespace moecollab::training
