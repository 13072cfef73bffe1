// New rows of an existing gate: docs/mathematics.md, "New rows of a fitted gate".
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fusion/fusion.h"
#include "gate/gate.h"
#include "training/answered_texts.h"
#include "training/space_shares.h"

namespace moecollab::training {

// Throws E_GATE for a gate whose rows cannot be grown.
void require_growable(const gate::Gate& gate);

// What the new rows count for: the experts behind the rows, and the union that they answer in.
struct GrowthSetting {
  gate::Gate gate;                            // E_old rows, which stay as they are
  std::vector<fusion::ExpertLabels> experts;  // [E], the new ones last, all of one label space
  fusion::LabelUnion labels;
  at::Tensor caps = {};  // [E], the most that each may count (gate::capped()); undefined: no bound
  int64_t new_experts() const { return static_cast<int64_t>(experts.size()) - gate.experts(); }
  // The old experts that answer in the new ones' space.
  std::vector<int64_t> sharing() const;
  // How many rows the fit looks for: one per new expert; in two factors one for their space, if
  // that is new.
  int64_t new_rows() const;
};

// Rows for a gate. In two factors they are a space's, and an old space keeps its own: there are
// none then.
struct NewRows {
  at::Tensor weight, bias;  // [k, D], [k]
  double loss = 0;
  int32_t iterations = 0;
  // In two factors: how all experts of the new ones' space share it, and what its guard changed.
  std::optional<SpaceShares> shares = {};
  bool shares_are_fitted = false;  // else those of old experts are as they were
  std::optional<ShareGuard> guard = {};
};

// The rows without training: w along the mean of the new texts' standardised features, as long as
// the old rows are on average, and b such that halfway between that mean and the old texts' the new
// rows together weigh as much as the old ones; beside old rows of zero, as a single space's are, w
// is such that the new row says 4 nats more at the mean. In two factors new experts of a space
// share it equally, or get as much as the old ones do on average. z [m, D], m >= 1.
NewRows prototype_rows(const GrowthSetting& setting, const at::Tensor& z);

// The fit of new rows. They share their weights, w_e = Σ_k c_k·d_k over the linear discriminants of
// the new texts and of each other domain of the replay (training/discriminant.h), or along the
// prototype if there is no replay. c and the rows' biases b_e minimise the mixture's task loss
// −log Σ_e g_e(x)·p_e(y|x), by L-BFGS, on the texts of the new domain, which weigh 1 together, and
// on the replay, each of whose domains has a weight of its own; texts count by their cross-fitted
// scores. Ridges are light: on the c of old domains' discriminants, which sum to zero, or on the
// distance from the prototype. A direction that 64 texts were fitted to freely would take in a
// tenth fewer of the domain's other texts. If a text's label is not known, the gate's mass on
// its own label space counts, and if only an expert's answer is not known, that expert counts as
// the mean of the others of the space. In two factors the row is the new space's, and what a space
// says of a label, by its shares, takes the place of p_e; the shares of the new experts' space are
// fitted on the texts of that space whose labels and answers are known (fit_space_shares()).
class RowFit {
 public:
  // own_domain is the number of the new domain among the replay's, or -1. If the replay has no
  // other domain, biases alone are fitted. Throws E_DATA without a new text. Keeps nothing of the
  // setting.
  RowFit(const GrowthSetting& setting, const AnsweredTexts& fresh, const AnsweredTexts& replay,
         int own_domain, const ShareFit& shares = {});
  ~RowFit();
  RowFit(const RowFit&) = delete;
  RowFit& operator=(const RowFit&) = delete;

  // Rows for these weights of the replay's domains, those beyond the last 1; sets out from the rows
  // of the call before. Throws E_TRAIN_DIVERGED if the loss is not finite.
  NewRows rows(const std::vector<double>& weights = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A gate and the experts behind its rows.
struct GrownGate {
  gate::Gate gate;
  std::vector<fusion::ExpertLabels> experts;
  at::Tensor caps = {};  // [E] of these, if there is a bound
};
GrownGate before(const GrowthSetting& setting);
GrownGate grown(const GrowthSetting& setting, const NewRows& rows);

// The gate with the new rows below; mean, std and old rows are the same storage or bits, but for
// the shares of `sharing`, those of its rows that share a space with the new ones.
gate::Gate extended(const gate::Gate& gate, const NewRows& rows,
                    const std::vector<int64_t>& sharing);

// Whether each text is answered with its own label [n] bool, by weights within the caps. Over the
// whole union if the fusion has such an answer, else over the text's own space. An expert whose
// answer is not known counts, under `mixture`, as sure of a wrong label, whatever its pool; under
// other fusions that is E_CONFIG. Texts need their labels.
at::Tensor answered_right(const GrownGate& gate, const fusion::LabelUnion& labels,
                          const AnsweredTexts& texts, fusion::Mode fusion, int64_t top_k);

}  // namespace moecollab::training
