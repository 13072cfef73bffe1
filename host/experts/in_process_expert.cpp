#include "experts/in_process_expert.h"

#include <ATen/Parallel.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/strings.h"
#include "encoder/device.h"
#include "experts/abi_views.h"
#include "experts/active_call.h"
#include "experts/in_batches.h"

namespace moecollab::experts {
InProcessExpert::InProcessExpert(const Library& library, ExpertSetup setup)
    : library_(&library),
      setup_(std::move(setup)),
      facts_(facts_of(setup_)),
      host_(setup_),
      params_(library.extension<moec_ext_params>(MOEC_EXT_PARAMS)),
      train_(library.extension<moec_ext_train>(MOEC_EXT_TRAIN)),
      fit_(library.extension<moec_ext_fit>(MOEC_EXT_FIT)),
      state_(library.extension<moec_ext_state>(MOEC_EXT_STATE)),
      explain_(library.extension<moec_ext_explain>(MOEC_EXT_EXPLAIN)) {
  create();
  facts_.explains = explain_ != nullptr;
  try {
    check_requirements();
    find_place();
    take_bottleneck();
  } catch (...) {
    library_->table().destroy(object_);
    throw;
  }
}

InProcessExpert::~InProcessExpert() {
  const ActiveCall in(setup_.name, "destroy");
  library_->table().destroy(object_);
}

void InProcessExpert::check(moec_status status, const moec_error& error, const char* call) const {
  if (status == MOEC_OK) return;
  const std::string text(error.message, strnlen(error.message, sizeof error.message));
  // As LibTorch says it, so that a smaller batch may be tried, or the device named.
  if (status == MOEC_OUT_OF_MEMORY && !place_.is_cpu())
    C10_THROW_ERROR(OutOfMemoryError,
                    fmt::format("out of memory: {}", failure(setup_.name, call, status, text)));
  throw_failure(setup_.name, call, status, text);
}

moec_exec InProcessExpert::exec(bool training) const {
  moec_exec exec{};
  exec.struct_size = sizeof exec;
  const at::Device device = encoder::to_torch(setup_.compute.device);
  exec.device_type = device_code(device);
  exec.device_id = setup_.compute.device.index;
  if (device.is_cuda())
    exec.stream = c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle();
  exec.threads = at::in_parallel_region() ? 1 : setup_.compute.threads;
  exec.seed = setup_.seed;
  exec.training = training ? 1 : 0;
  return exec;
}

void InProcessExpert::require_device_well(const char* call) const {
  if (setup_.compute.device.is_cpu()) return;
  const at::Device device = encoder::to_torch(setup_.compute.device);
  const c10::DeviceGuard guard(device);  // else the thread's own device is woken too
  try {
    c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
  } catch (const c10::Error& error) {
    throw Error("E_OUT",
                fmt::format("expert {}: {}() left an error on {}: {}", escaped(setup_.name), call,
                            moecollab::name(setup_.compute.device),
                            escaped(error.what_without_backtrace(), 300)));
  }
}

void InProcessExpert::create() {
  const ActiveCall in(setup_.name, "create");
  moec_encoder_info encoder{};
  if (setup_.encoder != nullptr) {
    encoder.struct_size = sizeof encoder;
    encoder.layers = static_cast<int32_t>(setup_.encoder->layers);
    encoder.hidden = static_cast<int32_t>(setup_.encoder->hidden);
    encoder.heads = static_cast<int32_t>(setup_.encoder->heads);
    encoder.intermediate = static_cast<int32_t>(setup_.encoder->intermediate);
    encoder.max_length = setup_.max_length;
    encoder.ln_eps = setup_.encoder->ln_eps;
    encoder.activation = to_abi(setup_.encoder->activation);
    encoder.fingerprint = to_abi(setup_.encoder_fingerprint);
  }
  const std::string config = to_line(setup_.config);
  std::vector<moec_string> names;
  std::vector<moec_tensor> tensors;
  for (const auto& [name, tensor] : setup_.weights) {
    names.push_back(to_abi(name));
    tensors.push_back(to_abi(tensor));
  }
  moec_create_info info{};
  info.struct_size = sizeof info;
  info.classes = setup_.classes;
  info.inputs = setup_.inputs;
  info.pooling = pooling_code(setup_.pooling);
  info.layer_count = setup_.layers.size();
  info.layers = setup_.layers.data();
  info.encoder = setup_.encoder == nullptr ? nullptr : &encoder;
  info.config = to_abi(config);
  info.weight_count = tensors.size();
  info.weight_names = names.data();
  info.weights = tensors.data();
  moec_error error = empty_error();
  check(library_->table().create(&host_.table(), &info, &object_, &error), error, "create");
  if (object_ == nullptr)
    throw Error("E_OUT", fmt::format("expert {}: create() gave no object", escaped(setup_.name)));
}

void InProcessExpert::check_requirements() {
  moec_requirements r{};
  r.struct_size = sizeof r;
  moec_error error = empty_error();
  check(library_->table().requirements(object_, &r, &error), error, "requirements");
  experts::check_requirements({r.classes,
                               r.pooling,
                               r.layout,
                               r.inputs,
                               r.max_batch,
                               std::vector<int32_t>(r.layers, r.layers + r.layer_count),
                               {r.flops_per_row, r.flops_per_token, r.flops_per_pair}},
                              setup_, facts_);
  facts_.trainable = params_ != nullptr && train_ != nullptr;
}

void InProcessExpert::find_place() {
  const auto* extension = library_->extension<moec_ext_device>(MOEC_EXT_DEVICE);
  const at::Device device = encoder::to_torch(setup_.compute.device);
  if (device.is_cpu() || extension == nullptr) return;
  if (extension->takes(object_, device_code(device)) != 0) place_ = device;
}

void InProcessExpert::take_bottleneck() {
  const auto* extension = library_->extension<moec_ext_bottleneck>(MOEC_EXT_BOTTLENECK);
  if (extension == nullptr || setup_.weights.empty()) return;
  moec_bottleneck model{};
  model.struct_size = sizeof model;
  moec_error error = empty_error();
  const moec_status status = extension->describe(object_, &model, &error);
  if (status == MOEC_UNSUPPORTED) return;
  check(status, error, "bottleneck.describe");
  check_bottleneck(setup_, model.features, model.bottleneck, model.classes);
  const std::set<encoder::PooledKey>& layers = facts_.request.pooled;
  bottleneck_.emplace(model, std::vector(layers.begin(), layers.end()));
}

Flops InProcessExpert::flops() const {
  return bottleneck_ ? Flops{.row = bottleneck_->flops_per_row()} : facts_.flops;
}

at::Tensor InProcessExpert::forward(const encoder::Features& rows) {
  return bottleneck_ ? bottleneck_->logits(rows) : forward_by_library(rows);
}

at::Tensor InProcessExpert::forward_by_library(const encoder::Features& rows) {
  return in_batches(rows, setup_.max_batch,
                    [&](const encoder::Features& some) { return forward_if_it_fits(some); });
}

// In two halves if the device has no memory for the batch.
at::Tensor InProcessExpert::forward_if_it_fits(const encoder::Features& rows) {
  try {
    return forward_batch(rows);
  } catch (const c10::Error& error) {
    if (rows.rows() <= 1 || !encoder::is_out_of_memory(error)) throw;
  }
  const int64_t half = rows.rows() / 2;
  return at::cat({forward_if_it_fits(rows.slice(0, half)),
                  forward_if_it_fits(rows.slice(half, rows.rows() - half))});
}

std::vector<Evidence> InProcessExpert::explain(const encoder::Features& row, int32_t label,
                                               int64_t most) {
  if (explain_ == nullptr) return {};
  const ActiveCall in(setup_.name, "explain");
  const Batch batch(row, facts_.request, (setup_.inputs & MOEC_INPUT_TEXT) != 0, place_);
  std::vector<moec_evidence> found(static_cast<size_t>(most));
  const moec_exec how = exec(false);
  moec_error error = empty_error();
  int64_t count = 0;
  const moec_status status =
      explain_->explain(object_, &how, &batch.view(), label, most, found.data(), &count, &error);
  if (status == MOEC_UNSUPPORTED) return {};
  check(status, error, "explain");
  return checked_evidence(setup_.name, found, count, row.texts.at(0));
}

at::Tensor InProcessExpert::forward_batch(const encoder::Features& rows) {
  const ActiveCall in(setup_.name, "forward");
  const Batch batch(rows, facts_.request, (setup_.inputs & MOEC_INPUT_TEXT) != 0, place_);
  at::Tensor logits = unwritten_logits(rows.rows(), setup_.classes);
  const moec_tensor out = to_abi(logits);
  const moec_exec how = exec(false);
  moec_error error = empty_error();
  check(library_->table().forward(object_, &how, &batch.view(), &out, &error), error, "forward");
  require_device_well("forward");
  if (any_unwritten(logits)) {
    throw Error("E_OUT_UNWRITTEN",
                fmt::format("expert {}: forward() left elements of its [{}, {}] output unwritten",
                            escaped(setup_.name), rows.rows(), setup_.classes));
  }
  return logits;
}

}  // namespace moecollab::experts
