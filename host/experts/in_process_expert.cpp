#include "experts/in_process_expert.h"

#include <ATen/Parallel.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/strings.h"
#include "encoder/device.h"
#include "experts/abi_views.h"

namespace moecollab::experts {
namespace {

// A signalling NaN that no computation gives: an element that still has it was not written.
constexpr uint32_t kUnwritten = 0x7FA0DEAD;

// Loops, here and below: for the few numbers of a text, a call of an operator costs more than they.
at::Tensor unwritten_logits(int64_t rows, int64_t classes) {
  at::Tensor logits = at::empty({rows, classes}, at::kFloat);
  std::fill_n(logits.mutable_data_ptr<float>(), logits.numel(), std::bit_cast<float>(kUnwritten));
  return logits;
}

bool any_unwritten(const at::Tensor& logits) {
  const float* data = logits.const_data_ptr<float>();
  return std::any_of(data, data + logits.numel(), [](const float& value) {
    return std::bit_cast<uint32_t>(value) == kUnwritten;
  });
}

moec_error empty_error() {
  moec_error error{};
  error.struct_size = sizeof error;
  return error;
}

int32_t pooling_code(const std::optional<encoder::Pooling>& pooling) {
  if (!pooling) return MOEC_POOLING_NONE;
  return *pooling == encoder::Pooling::kMean ? MOEC_POOLING_MEAN : MOEC_POOLING_CLS;
}

}  // namespace

// Keeps what the expert may look at again: the batch, and the rows that its views point into.
class InProcessExpert::SavedPass final : public Expert::Saved {
 public:
  SavedPass(const InProcessExpert& expert, encoder::Features rows)
      : expert_(expert),
        rows_(std::move(rows)),
        batch_(rows_, expert.facts_.request, (expert.setup_.inputs & MOEC_INPUT_TEXT) != 0,
               expert.place_) {}
  ~SavedPass() override {
    if (handle != nullptr) expert_.train_->release_saved(expert_.object_, handle);
  }
  const moec_batch& batch() const { return batch_.view(); }

  moec_saved* handle = nullptr;

 private:
  const InProcessExpert& expert_;
  const encoder::Features rows_;
  const Batch batch_;
};

InProcessExpert::InProcessExpert(const Library& library, ExpertSetup setup)
    : library_(&library),
      setup_(std::move(setup)),
      facts_(facts_of(setup_)),
      host_(setup_),
      params_(library.extension<moec_ext_params>(MOEC_EXT_PARAMS)),
      train_(library.extension<moec_ext_train>(MOEC_EXT_TRAIN)),
      fit_(library.extension<moec_ext_fit>(MOEC_EXT_FIT)),
      state_(library.extension<moec_ext_state>(MOEC_EXT_STATE)) {
  create();
  try {
    check_requirements();
    find_place();
    take_bottleneck();
  } catch (...) {
    library_->table().destroy(object_);
    throw;
  }
}

InProcessExpert::~InProcessExpert() { library_->table().destroy(object_); }

void InProcessExpert::check(moec_status status, const moec_error& error, const char* call) const {
  if (status == MOEC_OK) return;
  const std::string text(error.message, strnlen(error.message, sizeof error.message));
  const std::string what =
      fmt::format("expert {}: {}() failed with status {}: {}", escaped(setup_.name), call, status,
                  text.empty() ? "no message" : escaped(text, 512));
  if (status == MOEC_CANCELLED) throw Error("E_INTERRUPTED", what);
  if (std::string_view(call) != "create") throw Error("E_OUT", what);
  // Values that an expert refuses at its making are those of its manifest and weights.
  if (status == MOEC_INVALID_ARGUMENT) throw Error("E_DESC_MISMATCH", what);
  if (status == MOEC_UNSUPPORTED)
    throw Error("E_PLUG_UNSUPPORTED", what, "use it on a machine that has what it needs");
  throw Error("E_OUT", what);
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

void InProcessExpert::require_same(const char* what, int64_t manifest, int64_t library) const {
  if (manifest == library) return;
  throw Error("E_DESC_MISMATCH",
              fmt::format("expert {}: {} is {} in the manifest, {} in the library",
                          escaped(setup_.name), what, manifest, library),
              "the author's expert.toml and code must agree");
}

void InProcessExpert::check_requirements() {
  moec_requirements r{};
  r.struct_size = sizeof r;
  moec_error error = empty_error();
  check(library_->table().requirements(object_, &r, &error), error, "requirements");
  require_same("the class count", setup_.classes, r.classes);
  require_same("the set of inputs", setup_.inputs, r.inputs);
  require_same("the pooling", pooling_code(setup_.pooling), r.pooling);
  const std::vector<int32_t> layers(r.layers, r.layers + r.layer_count);
  if (setup_.adopt_layers && layers != setup_.layers) {
    setup_.layers = layers;
    facts_ = facts_of(setup_);
    facts_.adopted_layers = true;
  }
  require_same("the number of layers", static_cast<int64_t>(setup_.layers.size()),
               static_cast<int64_t>(r.layer_count));
  for (size_t i = 0; i < setup_.layers.size(); ++i)
    require_same("a layer", setup_.layers[i], r.layers[i]);
  require_same("the largest batch", setup_.max_batch, r.max_batch);
  require_same("the layout", MOEC_LAYOUT_RAGGED, r.layout);
  facts_.flops = {r.flops_per_row, r.flops_per_token, r.flops_per_pair};
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
  require_same("the set of inputs of a bottleneck", setup_.inputs, MOEC_INPUT_POOLED);
  require_same("the class count of its bottleneck", setup_.classes, model.classes);
  require_same("the number of features of its bottleneck",
               static_cast<int64_t>(setup_.layers.size()) * setup_.encoder->hidden, model.features);
  if (model.bottleneck < 1) require_same("the least width of its bottleneck", 1, model.bottleneck);
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
  if (setup_.max_batch == 0 || rows.rows() <= setup_.max_batch) return forward_if_it_fits(rows);
  std::vector<at::Tensor> parts;
  const int64_t n = rows.rows(), most = setup_.max_batch;
  for (int64_t first = 0; first < n; first += most)
    parts.push_back(forward_if_it_fits(rows.slice(first, std::min(most, n - first))));
  return at::cat(parts);
}

// In two halves if the device has no memory for the batch.
at::Tensor InProcessExpert::forward_if_it_fits(const encoder::Features& rows) {
  try {
    return forward_batch(rows);
  } catch (const c10::Error& error) {
    if (rows.rows() == 1 || !encoder::is_out_of_memory(error)) throw;
  }
  const int64_t half = rows.rows() / 2;
  return at::cat({forward_if_it_fits(rows.slice(0, half)),
                  forward_if_it_fits(rows.slice(half, rows.rows() - half))});
}

at::Tensor InProcessExpert::forward_batch(const encoder::Features& rows) {
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

const std::vector<Expert::Parameter>& InProcessExpert::bind(uint64_t seed) {
  bottleneck_.reset();
  moec_error error = empty_error();
  std::vector<moec_tensor> values, grads;
  const uint64_t count = params_->count(object_);
  for (uint64_t i = 0; i < count; ++i) {
    moec_param_info info{};
    info.struct_size = sizeof info;
    check(params_->describe(object_, i, &info, &error), error, "params.describe");
    for (const Parameter& other : parameters_) {
      if (other.name != to_string(info.name)) continue;
      throw Error("E_DESC_MISMATCH",
                  fmt::format("expert {} gives two parameters the name {}", escaped(setup_.name),
                              escaped(other.name)),
                  "weights are stored under their names; each needs its own");
    }
    const at::IntArrayRef shape(info.shape, static_cast<size_t>(info.ndim));
    const at::Tensor value = at::zeros(shape, at::TensorOptions(place_));
    parameters_.push_back({to_string(info.name), value, at::zeros_like(value), info.trainable != 0,
                           info.decay != 0, info.lr_scale});
  }
  for (const Parameter& p : parameters_) {
    values.push_back(to_abi(p.value));
    grads.push_back(to_abi(p.grad));
  }
  check(params_->bind(object_, values.data(), grads.data(), &error), error, "params.bind");
  if (setup_.weights.empty()) {
    check(params_->init(object_, seed, &error), error, "params.init");
  } else {
    for (Parameter& p : parameters_) {
      for (const auto& [name, tensor] : setup_.weights) {
        if (name == p.name) p.value.copy_(tensor);
      }
    }
  }
  params_changed();
  return parameters_;
}

void InProcessExpert::params_changed() {
  moec_error error = empty_error();
  check(params_->params_changed(object_, &error), error, "params.params_changed");
}

at::Tensor InProcessExpert::forward_train(encoder::Features rows, uint64_t seed,
                                          std::unique_ptr<Saved>& saved) {
  at::Tensor logits = unwritten_logits(rows.rows(), setup_.classes);
  auto pass = std::make_unique<SavedPass>(*this, std::move(rows));
  const moec_tensor out = to_abi(logits);
  moec_exec how = exec(true);
  how.seed = seed;
  moec_error error = empty_error();
  check(train_->forward_train(object_, &how, &pass->batch(), &out, &pass->handle, &error), error,
        "forward_train");
  require_device_well("forward_train");
  saved = std::move(pass);
  return logits;
}

void InProcessExpert::vjp(Saved& saved, const at::Tensor& gy) {
  const at::Tensor contiguous = gy.contiguous();
  const moec_tensor view = to_abi(contiguous);
  const moec_exec how = exec(true);
  const std::vector<const moec_tensor*> no_inputs(
      facts_.request.hidden.size() + facts_.request.pooled.size(), nullptr);
  moec_error error = empty_error();
  check(train_->vjp(object_, &how, static_cast<SavedPass&>(saved).handle, &view, no_inputs.size(),
                    no_inputs.data(), &error),
        error, "vjp");
  require_device_well("vjp");
}

void InProcessExpert::fit_begin(int64_t rows, int32_t max_epochs, uint64_t seed) {
  bottleneck_.reset();
  const moec_exec how = exec(true);
  moec_error error = empty_error();
  check(fit_->fit_begin(object_, &how, rows, max_epochs, seed, &error), error, "fit_begin");
}

void InProcessExpert::fit_batch(const encoder::Features& rows, const at::Tensor& labels,
                                const at::Tensor& weights) {
  const Batch batch(rows, facts_.request, (setup_.inputs & MOEC_INPUT_TEXT) != 0, place_);
  const moec_tensor label_view = to_abi(labels), weight_view = to_abi(weights);
  const moec_exec how = exec(true);
  moec_error error = empty_error();
  check(fit_->fit_batch(object_, &how, &batch.view(), &label_view, &weight_view, &error), error,
        "fit_batch");
}

bool InProcessExpert::fit_epoch_end() {
  const moec_exec how = exec(true);
  moec_error error = empty_error();
  int32_t want_more = 0;
  check(fit_->fit_epoch_end(object_, &how, &want_more, &error), error, "fit_epoch_end");
  return want_more != 0;
}

void InProcessExpert::fit_end() {
  moec_error error = empty_error();
  check(fit_->fit_end(object_, &error), error, "fit_end");
}

bool InProcessExpert::learns_parameters_only() const {
  return trainable() && (state_ == nullptr || state_->count(object_) == 0);
}

std::vector<std::pair<std::string, at::Tensor>> InProcessExpert::learnt() {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const Parameter& p : parameters_)
    tensors.emplace_back(p.name, p.value.to(encoder::kHost).clone());
  moec_error error = empty_error();
  for (uint64_t i = 0; state_ != nullptr && i < state_->count(object_); ++i) {
    moec_state_info info{};
    info.struct_size = sizeof info;
    check(state_->describe(object_, i, &info, &error), error, "state.describe");
    at::Tensor tensor = at::zeros(at::IntArrayRef(info.shape, static_cast<size_t>(info.ndim)));
    const moec_tensor view = to_abi(tensor);
    check(state_->read(object_, i, &view, &error), error, "state.read");
    tensors.emplace_back(to_string(info.name), tensor);
  }
  return tensors;
}

}  // namespace moecollab::experts
