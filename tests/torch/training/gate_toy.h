// A small world to fit gates in: two label spaces, three experts, texts that can be told apart.
#pragma once

#include <ATen/ATen.h>

#include "training/gate_trainer.h"

namespace moecollab::training {

// Texts with features z [N, 3]. The sign of z_0 decides the label space (a/1: x, y; b/1: u, v), the
// sign of z_1 which of the two experts of a/1 is right: "early" where z_1 < 0, "late" elsewhere.
// The expert of b/1 is always right. Labels alternate.
struct GateToy {
  explicit GateToy(int64_t texts = 400) {
    labels.add({"a/1", {"x", "y"}}, false);
    labels.add({"b/1", {"u", "v"}}, false);
    experts = {{0, {0, 1}, 1.0}, {0, {0, 1}, 1.0}, {1, {2, 3}, 1.0}};
    // Sines of unrelated rates: no two columns move together.
    const at::Tensor i = at::arange(texts, at::kFloat).unsqueeze(1);
    data.held_out.z = at::sin(i * at::tensor({2.3F, 1.7F, 0.9F}) + at::tensor({0.0F, 1.0F, 2.0F}));
    const at::Tensor in_b = data.held_out.z.select(1, 0).gt(0),
                     late = data.held_out.z.select(1, 1).gt(0);
    const at::Tensor second = at::arange(texts).remainder(2);  // which of the space's labels
    data.held_out.targets = in_b.to(at::kLong) * 2 + second;
    const auto answers = [&](const at::Tensor& right) {
      const at::Tensor chosen = at::where(right, second, 1 - second);
      return at::one_hot(chosen, 2).to(at::kFloat) * 3;  // softmax(3, 0) = (.953, .047)
    };
    data.held_out.logits = {answers(late.logical_not()), answers(late), answers(in_b)};
    for (int64_t row = 0; row < texts; ++row)
      data.held_out.domain_of.push_back(static_cast<int>(in_b[row].item<bool>()));
    data.held_out.domains = {"a", "b"};
    data.held_out.seen = {0, 0, 0};
    data.others.z = at::zeros({0, 3});
    data.others.spaces = at::zeros({0}, at::kLong);
  }

  GateProblem problem(fusion::Mode fusion = fusion::Mode::kMixture, int64_t top_k = 0) const {
    return {data, experts, labels, {{2, encoder::Pooling::kMean}}, fusion, top_k, Log()};
  }
  // Options that settle quickly here.
  static GateTrainingOptions options() {
    GateTrainingOptions options;
    options.epochs = 60;
    options.lr = 3e-2;
    options.batch = 50;
    options.seed = 9;
    return options;
  }

  fusion::LabelUnion labels;
  std::vector<fusion::ExpertLabels> experts;
  GateData data;
};

}  // namespace moecollab::training
