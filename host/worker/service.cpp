#include "worker/service.h"

#include <fmt/format.h>
#include <moecollab/ext/draft/precision.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::worker {
namespace {

void copy_text(char* to, size_t room, std::string_view text) { to[text.copy(to, room - 1)] = '\0'; }

// Name and shape of what params/1 or state/1 describes.
template <typename Info>
void name_tensor(const Info& info, WireParameter& to) {
  copy_text(to.name, sizeof to.name, experts::to_string(info.name));
  to.ndim = info.ndim;
  std::copy_n(info.shape, std::clamp(info.ndim, 0, kMostDimensions), to.shape);
}

moec_exec exec_of(const WireExec& wire) {
  moec_exec exec{};
  exec.struct_size = sizeof exec;
  exec.device_type = wire.device_type;
  exec.device_id = wire.device_id;
  exec.threads = wire.threads;
  exec.seed = wire.seed;
  exec.training = wire.training;
  return exec;
}

}  // namespace

// Borrows the call's region, whose content the host keeps as long as the views are used.
struct Service::Views {
  Views(const Service& service, const WireBatch& wire) {
    batch.struct_size = sizeof batch;
    batch.rows = wire.rows;
    batch.row_ids = service.given<int64_t>(wire.row_ids);
    if (const auto* all = service.given<WireText>(wire.texts)) {
      for (int64_t row = 0; row < wire.rows; ++row) texts.push_back(service.text(all[row]));
      batch.texts = texts.data();
    }
    batch.row_offsets = service.given<int32_t>(wire.row_offsets);
    tensors.reserve(1 + 2 * wire.layers);
    if (const auto* tokens = service.given<WireTensor>(wire.tokens)) {
      tensors.push_back(service.tensor(*tokens));
      batch.token_ids = &tensors.back();
    }
    batch.layer_count = wire.layers;
    batch.hidden = layers(service, wire.hidden, wire.layers, hidden);
    batch.pooled = layers(service, wire.pooled, wire.layers, pooled);
  }
  Views(const Views&) = delete;
  Views& operator=(const Views&) = delete;

  moec_batch batch{};

 private:
  const moec_tensor* const* layers(const Service& service, uint64_t offset, uint64_t count,
                                   std::vector<const moec_tensor*>& views) {
    const auto* all = service.given<WireTensor>(offset);
    if (all == nullptr) return nullptr;
    for (uint64_t layer = 0; layer < count; ++layer) {
      tensors.push_back(service.tensor(all[layer]));
      views.push_back(&tensors.back());
    }
    return views.data();
  }

  std::vector<moec_string> texts;
  std::vector<moec_tensor> tensors;  // as many as were reserved: others point to them
  std::vector<const moec_tensor*> hidden, pooled;
};

Service::Service(HostLine& line, ExpertHost& host, SharedMemory& in, SharedMemory& out, int library,
                 SandboxLevel level)
    : line_(line), host_(host), in_(in), out_(out), descriptor_(library), level_(level) {}

Service::~Service() {
  for (auto& [number, saved] : saved_) train_->release_saved(object_, saved.second);
  if (object_ != nullptr) library_->table().destroy(object_);
}

void Service::run() {
  while (const std::optional<Call> call = line_.receive()) {
    Reply reply;
    reply.sequence = call->sequence;
    answer(*call, reply);
    if (!line_.send(reply)) return;
  }
}

void Service::answer(const Call& call, Reply& reply) {
  moec_error error{};
  error.struct_size = sizeof error;
  try {
    reply.status = dispatch(call, reply, error);
    if (reply.status != MOEC_OK) std::memcpy(reply.message, error.message, sizeof reply.message);
  } catch (const Error& refusal) {
    reply.status = MOEC_INTERNAL;
    copy_text(reply.code, sizeof reply.code, refusal.code());
    copy_text(reply.message, sizeof reply.message, refusal.what());
  } catch (const std::exception& defect) {
    reply.status = MOEC_INTERNAL;
    copy_text(reply.message, sizeof reply.message, defect.what());
  }
}

template <typename T>
const T& Service::required(const T* extension, const char* id) const {
  if (extension == nullptr || object_ == nullptr)
    throw Error("E_IPC", fmt::format("there is no {} here", id));
  return *extension;
}

moec_status Service::dispatch(const Call& call, Reply& reply, moec_error& error) {
  const moec_exec exec = exec_of(call.exec);
  switch (call.op) {
    case Op::kLoad:
      load(call);
      return MOEC_OK;
    case Op::kCreate:
      return create(call, reply, error);
    case Op::kParameter:
      return describe_parameter(call, reply, error);
    case Op::kBind:
      return bind(call, error);
    case Op::kInit:
      return required(params_, MOEC_EXT_PARAMS).init(object_, call.number, &error);
    case Op::kParamsChanged:
      return required(params_, MOEC_EXT_PARAMS).params_changed(object_, &error);
    case Op::kForward: {
      const Views views(*this, call.batch);
      const moec_tensor logits = tensor(call.tensors[0]);
      return library_->table().forward(object_, &exec, &views.batch, &logits, &error);
    }
    case Op::kForwardTrain:
      return forward_train(call, reply, error);
    case Op::kVjp:
      return vjp(call, error);
    case Op::kRelease: {
      const auto saved = saved_.extract(call.number);
      if (!saved.empty()) train_->release_saved(object_, saved.mapped().second);
      return MOEC_OK;
    }
    case Op::kFitBegin:
    case Op::kFitBatch:
    case Op::kFitEpochEnd:
    case Op::kFitEnd:
      return fit(call, reply, error);
    case Op::kState:
      return describe_state(call, reply, error);
    case Op::kReadState: {
      const moec_tensor destination = tensor(call.tensors[0]);
      return required(state_, MOEC_EXT_STATE).read(object_, call.number, &destination, &error);
    }
    case Op::kBottleneck:
      return copy_bottleneck(call, error);
    case Op::kExplain:
      return explain(call, reply, error);
  }
  throw Error("E_IPC", fmt::format("there is no operation {}", static_cast<uint32_t>(call.op)));
}

moec_tensor Service::tensor(const WireTensor& wire) const {
  moec_tensor view{};
  view.data = (wire.in_out != 0 ? out_ : in_).at(wire.offset);
  view.device_type = MOEC_CPU;
  view.ndim = wire.ndim;
  view.type_code = static_cast<uint8_t>(wire.type_code);
  view.type_bits = 32;
  view.type_lanes = 1;
  view.shape = wire.shape;
  view.strides = wire.strides;
  return view;
}

void Service::load(const Call& call) {
  library_ = std::make_unique<experts::Library>(experts::SealedLibrary(descriptor_, "the library"));
  if (!close_sandbox(level_)) throw Error("E_IPC", "its threads cannot be shut off from files");
  const moec_library_info& info = library_->info();
  if (info.classes == 0) return;
  const auto mismatch = [](const std::string& what, const std::string& manifest,
                           const std::string& library) {
    throw Error("E_DESC_MISMATCH", fmt::format("{} is {} in the manifest, {} in the library", what,
                                               escaped(manifest), escaped(library)));
  };
  if (static_cast<uint64_t>(info.classes) != call.label_count) {
    mismatch("the number of labels", std::to_string(call.label_count),
             std::to_string(info.classes));
  }
  const auto* labels = given<WireText>(call.labels);
  for (uint64_t i = 0; info.labels != nullptr && i < call.label_count; ++i) {
    const std::string manifest = experts::to_string(text(labels[i]));
    const std::string library = experts::to_string(info.labels[i]);
    if (manifest != library) mismatch(fmt::format("label {}", i + 1), manifest, library);
  }
}

moec_status Service::create(const Call& call, Reply& reply, moec_error& error) {
  const WireCreate& wire = call.create;
  host_.set_precision(wire.bf16 != 0 ? MOEC_PRECISION_BF16 : MOEC_PRECISION_FP32);
  moec_encoder_info encoder{};
  encoder.struct_size = sizeof encoder;
  encoder.layers = wire.encoder_layers;
  encoder.hidden = wire.hidden;
  encoder.heads = wire.heads;
  encoder.intermediate = wire.intermediate;
  encoder.max_length = wire.max_length;
  encoder.ln_eps = wire.ln_eps;
  encoder.activation = text(wire.activation);
  encoder.fingerprint = text(wire.fingerprint);
  std::vector<moec_string> names;
  std::vector<moec_tensor> tensors;
  const auto* weights = given<WireWeight>(wire.weights);
  for (uint64_t i = 0; i < wire.weight_count; ++i) {
    names.push_back(text(weights[i].name));
    tensors.push_back(tensor(weights[i].tensor));
  }
  moec_create_info info{};
  info.struct_size = sizeof info;
  info.classes = wire.classes;
  info.inputs = wire.inputs;
  info.pooling = wire.pooling;
  info.layer_count = wire.layer_count;
  info.layers = given<int32_t>(wire.layers);
  info.encoder = wire.has_encoder != 0 ? &encoder : nullptr;
  info.config = text(wire.config);
  info.weight_count = wire.weight_count;
  info.weight_names = names.data();
  info.weights = tensors.data();
  const moec_status status = library_->table().create(&host_.table(), &info, &object_, &error);
  if (status != MOEC_OK) return status;
  if (object_ == nullptr) throw Error("E_OUT", "create() gave no object");
  params_ = library_->extension<moec_ext_params>(MOEC_EXT_PARAMS);
  train_ = library_->extension<moec_ext_train>(MOEC_EXT_TRAIN);
  fit_ = library_->extension<moec_ext_fit>(MOEC_EXT_FIT);
  state_ = library_->extension<moec_ext_state>(MOEC_EXT_STATE);
  bottleneck_ = library_->extension<moec_ext_bottleneck>(MOEC_EXT_BOTTLENECK);
  explain_ = library_->extension<moec_ext_explain>(MOEC_EXT_EXPLAIN);
  if (wire.weight_count == 0) bottleneck_ = nullptr;
  return fill_facts(reply, error);
}

moec_status Service::fill_facts(Reply& reply, moec_error& error) {
  moec_requirements r{};
  r.struct_size = sizeof r;
  const moec_status status = library_->table().requirements(object_, &r, &error);
  if (status != MOEC_OK) return status;
  WireFacts& facts = reply.facts;
  facts.classes = r.classes;
  facts.inputs = r.inputs;
  facts.pooling = r.pooling;
  facts.layout = r.layout;
  facts.max_batch = r.max_batch;
  facts.layer_count = r.layer_count;
  for (uint64_t i = 0; i < std::min<uint64_t>(r.layer_count, kMostLayers); ++i)
    facts.layers[i] = r.layers[i];
  facts.flops_per_row = r.flops_per_row;
  facts.flops_per_token = r.flops_per_token;
  facts.flops_per_pair = r.flops_per_pair;
  facts.wants_engine = host_.lacked_engine() ? 1 : 0;
  facts.trains = params_ != nullptr && train_ != nullptr ? 1 : 0;
  facts.fits = fit_ != nullptr ? 1 : 0;
  facts.explains = explain_ != nullptr ? 1 : 0;
  facts.parameters = params_ != nullptr ? params_->count(object_) : 0;
  facts.states = state_ != nullptr ? state_->count(object_) : 0;
  moec_bottleneck model{};
  model.struct_size = sizeof model;
  if (bottleneck_ == nullptr) return MOEC_OK;
  const moec_status described = bottleneck_->describe(object_, &model, &error);
  if (described == MOEC_UNSUPPORTED) return MOEC_OK;
  facts.bottleneck = model.bottleneck;
  facts.bottleneck_features = model.features;
  facts.bottleneck_classes = model.classes;
  return described;
}

moec_status Service::describe_parameter(const Call& call, Reply& reply, moec_error& error) {
  moec_param_info info{};
  info.struct_size = sizeof info;
  const moec_status status =
      required(params_, MOEC_EXT_PARAMS).describe(object_, call.number, &info, &error);
  if (status != MOEC_OK) return status;
  WireParameter& to = reply.parameter;
  name_tensor(info, to);
  to.trainable = info.trainable;
  to.decay = info.decay;
  to.lr_scale = info.lr_scale;
  return MOEC_OK;
}

moec_status Service::describe_state(const Call& call, Reply& reply, moec_error& error) {
  moec_state_info info{};
  info.struct_size = sizeof info;
  const moec_status status =
      required(state_, MOEC_EXT_STATE).describe(object_, call.number, &info, &error);
  if (status != MOEC_OK) return status;
  name_tensor(info, reply.parameter);
  return MOEC_OK;
}

moec_status Service::bind(const Call& call, moec_error& error) {
  const auto* list = given<WireTensor>(call.list);
  std::vector<moec_tensor> all;
  for (uint64_t i = 0; i < call.list_count; ++i) all.push_back(tensor(list[i]));
  return required(params_, MOEC_EXT_PARAMS)
      .bind(object_, all.data(), all.data() + all.size() / 2, &error);
}

moec_status Service::forward_train(const Call& call, Reply& reply, moec_error& error) {
  const moec_exec exec = exec_of(call.exec);
  auto views = std::make_unique<Views>(*this, call.batch);
  const moec_tensor logits = tensor(call.tensors[0]);
  moec_saved* saved = nullptr;
  const moec_status status =
      required(train_, MOEC_EXT_TRAIN)
          .forward_train(object_, &exec, &views->batch, &logits, &saved, &error);
  if (status != MOEC_OK) return status;
  reply.number = next_saved_++;
  saved_.emplace(reply.number, std::pair(std::move(views), saved));
  return MOEC_OK;
}

moec_status Service::vjp(const Call& call, moec_error& error) {
  const moec_exec exec = exec_of(call.exec);
  const moec_tensor gy = tensor(call.tensors[0]);
  const auto saved = saved_.find(call.number);
  if (saved == saved_.end()) throw Error("E_IPC", "that forward pass is not kept");
  const moec_batch& batch = saved->second.first->batch;
  const uint64_t inputs = batch.layer_count * ((batch.hidden != nullptr ? 1U : 0U) +
                                               (batch.pooled != nullptr ? 1U : 0U));
  const std::vector<const moec_tensor*> none(inputs, nullptr);
  return train_->vjp(object_, &exec, saved->second.second, &gy, inputs, none.data(), &error);
}

moec_status Service::fit(const Call& call, Reply& reply, moec_error& error) {
  const moec_ext_fit& fit = required(fit_, MOEC_EXT_FIT);
  const moec_exec exec = exec_of(call.exec);
  if (call.op == Op::kFitBegin) {
    return fit.fit_begin(object_, &exec, call.rows, static_cast<int32_t>(call.epochs), call.number,
                         &error);
  }
  if (call.op == Op::kFitEnd) return fit.fit_end(object_, &error);
  if (call.op == Op::kFitEpochEnd) {
    int32_t want_more = 0;
    const moec_status status = fit.fit_epoch_end(object_, &exec, &want_more, &error);
    reply.number = want_more != 0 ? 1 : 0;
    return status;
  }
  const Views views(*this, call.batch);
  const moec_tensor labels = tensor(call.tensors[0]), weights = tensor(call.tensors[1]);
  return fit.fit_batch(object_, &exec, &views.batch, &labels, &weights, &error);
}

moec_status Service::explain(const Call& call, Reply& reply, moec_error& error) {
  const moec_exec exec = exec_of(call.exec);
  const Views views(*this, call.batch);
  int64_t count = 0;
  const moec_status status =
      required(explain_, MOEC_EXT_EXPLAIN)
          .explain(object_, &exec, &views.batch, static_cast<int32_t>(call.epochs), call.rows,
                   reinterpret_cast<moec_evidence*>(out_.at(call.list)), &count, &error);
  reply.number = static_cast<uint64_t>(count);
  return status;
}

moec_status Service::copy_bottleneck(const Call& call, moec_error& error) {
  moec_bottleneck model{};
  model.struct_size = sizeof model;
  const moec_status status =
      required(bottleneck_, MOEC_EXT_BOTTLENECK).describe(object_, &model, &error);
  if (status != MOEC_OK) return status;
  const float* const arrays[] = {model.down_weight, model.down_bias,  model.up_weight,
                                 model.up_bias,     model.out_weight, model.out_bias};
  const auto* list = given<WireTensor>(call.list);
  for (uint64_t i = 0; i < std::min<uint64_t>(call.list_count, std::size(arrays)); ++i) {
    int64_t count = 1;
    for (int d = 0; d < list[i].ndim; ++d) count *= list[i].shape[d];
    std::copy_n(arrays[i], count, reinterpret_cast<float*>(out_.at(list[i].offset)));
  }
  return MOEC_OK;
}

}  // namespace moecollab::worker
