// AdamW (Loshchilov and Hutter 2019), for parameters that lie in somebody else's storage.
#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace moecollab::training {

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0.01;  // decoupled; for parameters that decay only
};

// p ← p·(1 − lr·wd) − lr·m̂ / (√v̂ + ε). Borrows values and gradients; not thread-safe.
class AdamW {
 public:
  struct Parameter {
    at::Tensor value, grad;
    bool decay = true;
  };
  AdamW(std::vector<Parameter> parameters, const AdamWOptions& options);

  // One step on the gradients as they are, then sets them to zero.
  void step();

 private:
  struct Moments {
    at::Tensor first, second;
  };
  std::vector<Parameter> parameters_;
  std::vector<Moments> moments_;
  AdamWOptions options_;
  int64_t steps_ = 0;
};

}  // namespace moecollab::training
