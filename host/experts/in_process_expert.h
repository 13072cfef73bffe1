// An expert in this process: an object of a library, behind the C ABI.
#pragma once

#include <moecollab/abi.h>
#include <moecollab/ext/draft/device.h>
#include <moecollab/ext/draft/explain.h>
#include <moecollab/ext/fit.h>
#include <moecollab/ext/params.h>
#include <moecollab/ext/state.h>
#include <moecollab/ext/train.h>

#include <optional>

#include "experts/bottleneck.h"
#include "experts/expert.h"
#include "experts/expert_setup.h"
#include "experts/host_services.h"
#include "experts/library.h"

namespace moecollab::experts {

// Owns the library's object.
class InProcessExpert final : public Expert, private SelfFitting {
 public:
  // Throws E_DESC_MISMATCH if the object's requirements, or its bottleneck, differ from the setup
  // (both are named).
  InProcessExpert(const Library& library, ExpertSetup setup);
  ~InProcessExpert() override;

  const ExpertFacts& facts() const override { return facts_; }
  at::Tensor forward(const encoder::Features& rows) override;
  bool is_host_code() const override { return bottleneck_.has_value(); }
  Flops flops() const override;
  std::vector<Evidence> explain(const encoder::Features& row, int32_t label, int64_t most) override;
  // Asks in calls of at most setup.max_batch rows.
  at::Tensor forward_by_library(const encoder::Features& rows) override;

  const std::vector<Parameter>& bind(uint64_t seed) override;
  const std::vector<Parameter>& parameters() const override { return parameters_; }
  void params_changed() override;
  at::Tensor forward_train(encoder::Features rows, uint64_t seed,
                           std::unique_ptr<Saved>& saved) override;
  void vjp(Saved& saved, const at::Tensor& gy) override;

  SelfFitting* self_fitting() override { return fit_ == nullptr ? nullptr : this; }
  bool learns_parameters_only() const override;
  std::vector<std::pair<std::string, at::Tensor>> learnt() override;

 private:
  class SavedPass;

  void fit_begin(int64_t rows, int32_t max_epochs, uint64_t seed) override;
  void fit_batch(const encoder::Features& rows, const at::Tensor& labels,
                 const at::Tensor& weights) override;
  bool fit_epoch_end() override;
  void fit_end() override;

  void create();
  void check_requirements();
  // Whether tensors of calls lie on the run's device (moecollab.draft.device/1).
  void find_place();
  // If the library offers it and weights were given.
  void take_bottleneck();
  at::Tensor forward_if_it_fits(const encoder::Features& rows);
  at::Tensor forward_batch(const encoder::Features& rows);
  void check(moec_status status, const moec_error& error, const char* call) const;
  moec_exec exec(bool training) const;
  // Throws E_OUT if the device reports an error that the call left behind.
  void require_device_well(const char* call) const;

  const Library* library_;
  ExpertSetup setup_;
  ExpertFacts facts_;
  HostServices host_;
  const moec_ext_params* params_;
  const moec_ext_train* train_;
  const moec_ext_fit* fit_;
  const moec_ext_state* state_;
  const moec_ext_explain* explain_;
  moec_expert* object_ = nullptr;
  at::Device place_ = encoder::kHost;  // of a call's tensors, and of what is bound
  std::vector<Parameter> parameters_;
  std::optional<Bottleneck> bottleneck_;  // computes forward() until the object learns
};

}  // namespace moecollab::experts
