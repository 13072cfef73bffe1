// AdamW (Loshchilov and Hutter 2019), for parameters that lie in somebody else's storage.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <utility>
#include <vector>

namespace moecollab::training {

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0.01;  // decoupled; for parameters that decay only
};

// p ← p·(1 − lr·wd) − lr·m̂ / (√v̂ + ε). Borrows values and gradients, all float32, each pair on one
// device; not thread-safe.
class AdamW {
 public:
  struct Parameter {
    at::Tensor value, grad;
    bool decay = true;
    double lr_scale = 1.0;  // times the learning rate
  };
  AdamW(std::vector<Parameter> parameters, const AdamWOptions& options);

  // One step on the gradients as they are, then sets them to zero.
  void step();
  void set_lr(double lr) { options_.lr = lr; }

  // Norm of all gradients together; NaN or infinite if one is.
  double grad_norm() const;
  // Scales the gradients down to that norm if theirs, `norm`, is greater.
  void clip(double norm, double largest);
  void zero_grad();
  // How many numbers these are; all of them one after the other, a copy [g] on the host, and back.
  int64_t size() const;
  at::Tensor gradients() const;
  void set_gradients(const at::Tensor& all);

  // The moments, in the order of the parameters ("first/0", "second/0", …), and the steps done; the
  // tensors are those that step() writes, so a copy into them restores it.
  std::vector<std::pair<std::string, at::Tensor>> state() const;
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  struct Moments {
    at::Tensor first, second;
  };
  struct Group;
  std::vector<Group> groups() const;

  std::vector<Parameter> parameters_;
  std::vector<Moments> moments_;
  AdamWOptions options_;
  int64_t steps_ = 0;
};

}  // namespace moecollab::training
