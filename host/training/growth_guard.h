// What old domains lose to new rows of the gate, and how far the rows give way.
#pragma once

#include <string>
#include <vector>

#include "training/growth.h"

namespace moecollab::training {

// Accuracy that an old domain may lose.
inline constexpr double kGrowthGuard = 0.005;

// Judges grown gates by what old domains lose to them. Owns its arguments and does not
// change. `grown` is the setting's gate with new rows after its own. Constructor and methods throw
// as answered_right().
class GrowthGuard {
 public:
  // replay: texts of old domains that their experts have not seen, with answers. unseen: texts of
  // old domains that the old rows were not fitted on, of which only the routing is judged: those
  // rows are surer of the texts that they were fitted on, the replay, than of others. The gate
  // before is the setting's. Answers are fused by `fusion` with the top_k
  // experts (0: all). Either set may be empty, and is then not judged.
  GrowthGuard(GrowthSetting setting, fusion::Mode fusion, int64_t top_k, AnsweredTexts replay,
              AnsweredTexts unseen);

  // A domain's accuracy on the replay before and with the grown gate, from 0 to 1.
  struct Change {
    std::string domain;
    int64_t texts;
    double before, after;
    bool too_much() const { return before - after > kGrowthGuard; }
    // More than half of that, and not by a single text.
    bool nearly_too_much() const {
      const double lost = before - after;
      return lost > kGrowthGuard / 2 && lost * static_cast<double>(texts) > 1;
    }
  };
  std::vector<Change> changes(const GrownGate& grown) const;
  // The same for the unseen texts: the share whose own label space has the greatest mass, times the
  // domain's accuracy before.
  std::vector<Change> routing_changes(const GrownGate& grown) const;

  // Whether no domain loses more than kGrowthGuard in changes() and routing_changes().
  bool spares(const GrownGate& grown) const;

  // Rows of the fit by which no domain loses nearly_too_much(): these are texts that the rows are
  // fitted on, and it will lose more on others. The weights of domains that do are doubled, five
  // times at most, and the rows are returned even if a domain still loses: beyond that it is the
  // new domain that is given up, and lowered() has its turn. `domains` names those of the fit's
  // replay; `weights` receives one for each, those of the rows. Throws E_TRAIN_DIVERGED as
  // RowFit::rows().
  NewRows sparing(RowFit& fit, const std::vector<std::string>& domains,
                  std::vector<double>& weights) const;

  // The rows with their biases (without rows those of the new experts' shares) lowered by the least
  // of 0, 0.25, … 3 nats that spares every domain, which `by` receives; as they are, and `by` 0, if
  // none does: then spares() is false.
  NewRows lowered(NewRows rows, double& by) const;

  // [n] float64: 1 for a text that is answered with its own label, else 0.
  at::Tensor right(const GrownGate& gate, const AnsweredTexts& texts) const;

 private:
  at::Tensor routed(const GrownGate& gate) const;

  GrowthSetting setting_;
  fusion::Mode fusion_;
  int64_t top_k_;
  AnsweredTexts replay_, unseen_;
  std::vector<at::Tensor> replay_of_, unseen_of_;  // each domain's rows
  at::Tensor answered_, routed_;                   // before
  at::Tensor worth_;                               // of an unseen text: its domain's accuracy
};

}  // namespace moecollab::training
