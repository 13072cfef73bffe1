// An expert in a process of its own, as the rest of the host knows experts.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "experts/bottleneck.h"
#include "experts/expert.h"
#include "experts/expert_setup.h"
#include "worker/process.h"

namespace moecollab::worker {

// Gives the bits that the same library gives in this process. A bottleneck that the library
// describes (ext/draft/bottleneck.h) is copied once and computed here: it is plain numbers.
//
// An answer whose process ends is asked for again, of a new process, once; what the second ends
// with is thrown (ProcessEnded). Training is not repeated: its state is gone with the process.
class RemoteExpert final : public experts::Expert, private experts::SelfFitting {
 public:
  // `labels`: the manifest's, for libraries that fix them in code. Throws as InProcessExpert and
  // Library do, and as Process.
  RemoteExpert(experts::SealedLibrary library, std::vector<std::string> labels,
               experts::ExpertSetup setup, const ProcessLimits& limits);
  ~RemoteExpert() override;

  const experts::ExpertFacts& facts() const override { return facts_; }
  at::Tensor forward(const encoder::Features& rows) override;
  bool is_host_code() const override { return bottleneck_.has_value(); }
  experts::Flops flops() const override;
  std::vector<experts::Evidence> explain(const encoder::Features& row, int32_t label,
                                         int64_t most) override;
  at::Tensor forward_by_library(const encoder::Features& rows) override;

  const std::vector<Parameter>& bind(uint64_t seed) override;
  const std::vector<Parameter>& parameters() const override { return parameters_; }
  void params_changed() override;
  at::Tensor forward_train(encoder::Features rows, uint64_t seed,
                           std::unique_ptr<Saved>& saved) override;
  void vjp(Saved& saved, const at::Tensor& gy) override;

  experts::SelfFitting* self_fitting() override { return wire_.fits != 0 ? this : nullptr; }
  bool learns_parameters_only() const override { return trainable() && wire_.states == 0; }
  std::vector<std::pair<std::string, at::Tensor>> learnt() override;

  Process& process() { return *process_; }

 private:
  class SavedThere;

  void fit_begin(int64_t rows, int32_t max_epochs, uint64_t seed) override;
  void fit_batch(const encoder::Features& rows, const at::Tensor& labels,
                 const at::Tensor& weights) override;
  bool fit_epoch_end() override;
  void fit_end() override;

  // A new process with a new object.
  void start();
  // For one that ran before: what it says otherwise now is E_IPC.
  void start_again();
  void load();
  void create();
  void take_bottleneck();
  std::optional<EngineArguments> engine_arguments() const;
  Reply ask(Call call, const char* phase, std::chrono::milliseconds allowed);
  // Adds the tensor to `bytes`; throws E_IPC for more than the expert may take.
  void require_room(const std::vector<int64_t>& shape, uint64_t& bytes) const;
  // Steps of training, and what leads to them.
  Reply teach(Op op, const char* phase, const std::function<void(Call&)>& fill = {});
  at::Tensor forward_once(const encoder::Features& rows);
  at::Tensor forward_or_again(const encoder::Features& rows);
  std::chrono::milliseconds allowed_for(const encoder::Features& rows) const;
  // If its own memory grew over its limit: it leaks.
  void recycle_if_large();
  WireExec exec(bool training, uint64_t seed) const;

  experts::SealedLibrary library_;
  std::vector<std::string> labels_;
  experts::ExpertSetup setup_;
  ProcessLimits limits_;
  experts::ExpertFacts facts_;
  WireFacts wire_;
  std::shared_ptr<Process> process_;
  std::vector<Parameter> parameters_;
  std::optional<experts::Bottleneck> bottleneck_;  // computes forward() until the object learns
  bool needs_engine_;
  int restarts_ = 0;
  bool learns_ = false;  // from then on a process is not replaced
};

}  // namespace moecollab::worker
