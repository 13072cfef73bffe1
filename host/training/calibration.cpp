#include "training/calibration.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "encoder/features.h"

namespace moecollab::training {
namespace {

// d NLL / d(1/T) = mean of Σ_c p_c·o_c − o_label: grows with 1/T.
double slope(const at::Tensor& logits, const at::Tensor& own, double inverse) {
  const at::Tensor p = at::softmax(logits * inverse, -1);
  return ((p * logits).sum(-1) - own).mean().item<double>();
}

// Rows whose label the expert has, and that label's class: both [n] int64.
std::pair<at::Tensor, at::Tensor> own_texts(const at::Tensor& targets, const at::Tensor& logits,
                                            const fusion::ExpertLabels& expert) {
  const at::Tensor columns = fusion::label_columns(expert);
  const at::Tensor match = targets.unsqueeze(1).eq(columns.unsqueeze(0));  // [N, C]
  const at::Tensor usable = match.any(1).logical_and(logits.isfinite().all(1));
  const at::Tensor rows = usable.nonzero().flatten();
  return {rows, match.index_select(0, rows).to(at::kByte).argmax(1)};
}

}  // namespace

double negative_log_likelihood(const at::Tensor& logits, const at::Tensor& classes,
                               double temperature) {
  return -at::log_softmax(logits.to(at::kDouble) / temperature, -1)
              .gather(1, classes.unsqueeze(1))
              .mean()
              .item<double>();
}

double fit_temperature(const at::Tensor& logits, const at::Tensor& classes) {
  const at::NoGradGuard no_grad;
  const at::Tensor o = logits.to(at::kDouble);
  const at::Tensor own = o.gather(1, classes.unsqueeze(1)).squeeze(1);
  double low = 1 / kMaxTemperature, high = 1 / kMinTemperature;
  if (slope(o, own, low) >= 0) return kMaxTemperature;
  if (slope(o, own, high) <= 0) return kMinTemperature;
  while (high / low > 1 + 1e-7) {
    const double middle = std::sqrt(low * high);
    (slope(o, own, middle) < 0 ? low : high) = middle;
  }
  return 1 / std::sqrt(low * high);
}

std::vector<Calibration> calibrate(const at::Tensor& targets, const std::vector<at::Tensor>& logits,
                                   std::vector<fusion::ExpertLabels>& experts) {
  const at::NoGradGuard no_grad;
  std::vector<Calibration> result;
  for (size_t e = 0; e < experts.size(); ++e) {
    const auto [rows, classes] = own_texts(targets, logits[e], experts[e]);
    Calibration fitted{.texts = rows.numel(), .temperature = experts[e].temperature};
    if (fitted.texts > 0) {
      const at::Tensor known = logits[e].index_select(0, rows);
      fitted.nll_before = negative_log_likelihood(known, classes, experts[e].temperature);
      fitted.temperature = fit_temperature(known, classes);
      fitted.nll_after = negative_log_likelihood(known, classes, fitted.temperature);
      experts[e].temperature = fitted.temperature;
    }
    result.push_back(fitted);
  }
  return result;
}

}  // namespace moecollab::training
