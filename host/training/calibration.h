// Temperatures: how far an expert's confidence is to be believed.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "fusion/fusion.h"

namespace moecollab::training {

// Temperatures are looked for between these.
inline constexpr double kMinTemperature = 0.05, kMaxTemperature = 20.0;

// Mean −log softmax(logits / temperature)[label], nats. logits [n, C], classes [n] int64.
double negative_log_likelihood(const at::Tensor& logits, const at::Tensor& classes,
                               double temperature);

// The temperature that minimises negative_log_likelihood() (Guo et al. 2017). It is convex in
// 1/temperature, so this is its minimum to 1e-6 relative, or the bound beyond which it lies.
double fit_temperature(const at::Tensor& logits, const at::Tensor& classes);

struct Calibration {
  int64_t texts = 0;                     // of the expert's own labels among the held-out ones
  double temperature = 1.0;              // fitted; the expert's old one if it has no text
  double nll_before = 0, nll_after = 0;  // on these texts; 0 if there are none
};

// Fits every expert's temperature on the held-out texts whose label is one of its own, and writes
// it into `experts`. Texts that it answered with NaN or infinity are left out. targets [n] int64,
// global label ids; logits per expert [n, C_e].
std::vector<Calibration> calibrate(const at::Tensor& targets, const std::vector<at::Tensor>& logits,
                                   std::vector<fusion::ExpertLabels>& experts);

}  // namespace moecollab::training
