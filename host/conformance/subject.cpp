#include "conformance/subject.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/digest.h"
#include "base/strings.h"
#include "conformance/test_host.h"
#include "experts/inputs.h"
#include "registry/manifest.h"
#include "weights/convert.h"
#include "weights/safetensors.h"
#include "worker/confinement.h"

namespace moecollab::conformance {
namespace {

constexpr uint64_t kMaxLibrary = uint64_t{256} << 20;
constexpr const char* kWeightsFile = "weights.safetensors";
constexpr int32_t kToyClasses = 3;  // of a package whose labels come with its training data

moec_string to_abi(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

EncoderFacts toy_encoder() {
  EncoderFacts facts;
  facts.config.layers = 4;
  facts.config.hidden = 32;
  facts.config.heads = 4;
  facts.config.intermediate = 64;
  facts.config.vocabulary = 30000;
  facts.config.activation = "gelu";
  return facts;
}

moec_error empty_error() {
  moec_error error{};
  error.struct_size = sizeof error;
  return error;
}

int64_t heap_in_use() {
  const struct mallinfo2 info = ::mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
}

int64_t least_growth(int64_t allowed, const std::function<void()>& run) {
  int64_t least = std::numeric_limits<int64_t>::max();
  for (int i = 0; i < 3 && least > allowed; ++i) {
    const int64_t before = heap_in_use();
    run();
    least = std::min(least, heap_in_use() - before);
  }
  return least > allowed ? least : 0;
}

std::string message_of(const moec_error& error) {
  return std::string(error.message, strnlen(error.message, sizeof error.message));
}

CallFailed::CallFailed(const std::string& call, moec_status code, const moec_error& error)
    : std::runtime_error(
          fmt::format("{}() failed with status {}: {}", call, code,
                      message_of(error).empty() ? "no message" : escaped(message_of(error), 300))),
      status(code) {}

// --- Subject

Subject::Subject(registry::Package package, EncoderFacts encoder, uint64_t seed)
    : package_(std::move(package)),
      encoder_(std::move(encoder)),
      training_precision_(package_.manifest.training.precision == "bf16" ? Precision::kBf16
                                                                         : Precision::kFp32),
      seed_(seed) {
  const registry::Manifest& m = manifest();
  const std::string name = registry::library_file(m);
  path_ = escaped((package_.folder / name).string());
  bytes_ = read_file(package_.folder / name, "E_PLUG_IO", kMaxLibrary);
  sha256_ = sha256_hex(bytes_);
  config_ = to_line(m.config);
  if (inputs() & ~uint32_t{MOEC_INPUT_TEXT}) {
    for (const int64_t layer : m.input.resolve_layers(encoder_.config.layers))
      layers_.push_back(static_cast<int32_t>(layer));
    std::sort(layers_.begin(), layers_.end());
    layers_.erase(std::unique(layers_.begin(), layers_.end()), layers_.end());
  }
  const encoder::BertConfig& c = encoder_.config;
  encoder_info_ = {sizeof encoder_info_,
                   static_cast<int32_t>(c.layers),
                   static_cast<int32_t>(c.hidden),
                   static_cast<int32_t>(c.heads),
                   static_cast<int32_t>(c.intermediate),
                   encoder_.max_length,
                   c.ln_eps,
                   to_abi(c.activation),
                   to_abi(encoder_.fingerprint)};
  host_ = test_host(*this, /*blocks=*/false);
  host_with_blocks_ = test_host(*this, /*blocks=*/true);
  read_weights();
}

void Subject::read_weights() {
  if (!manifest().files.contains(kWeightsFile)) return;
  const auto file = weights::Safetensors::open(package_.folder / kWeightsFile);
  for (const weights::TensorView& view : file.tensors()) {
    auto tensor = std::make_unique<GuardedTensor>("weight " + std::string(view.name), view.shape);
    weights::copy_f32(view, {tensor->floats(), tensor->count()});
    tensor->memory.make_read_only();
    weights_.emplace_back(std::string(view.name), std::move(tensor));
  }
}

int32_t Subject::classes() const {
  return manifest().is_kind() ? kToyClasses : static_cast<int32_t>(manifest().task.labels.size());
}

uint32_t Subject::inputs() const { return experts::input_bits(manifest().input); }

void Subject::adopt(const std::vector<Parameter>& parameters) {
  weights_.clear();
  for (const Parameter& p : parameters) {
    auto tensor = std::make_unique<GuardedTensor>("weight " + p.name, p.value->shape);
    std::copy_n(p.value->floats(), p.value->count(), tensor->floats());
    tensor->memory.make_read_only();
    weights_.emplace_back(p.name, std::move(tensor));
  }
}

void Subject::confine() {
  worker::confine();
  confined_ = true;
}

const experts::Library& Subject::library() {
  if (library_ == nullptr && confined_) worker::forbid_processes();
  if (library_ == nullptr) library_ = &experts::Library::load(bytes_, sha256_, path_, uses_torch());
  return *library_;
}

void Subject::set_stop(bool stop, int64_t later) { set_stop_of_test_host(stop, later); }

moec_exec Subject::exec(bool training, uint64_t seed) const {
  moec_exec exec{};
  exec.struct_size = sizeof exec;
  exec.device_type = MOEC_CPU;
  exec.threads = 1;
  exec.seed = seed;
  exec.training = training ? 1 : 0;
  return exec;
}

void Subject::with_info(const std::function<void(moec_create_info&)>& with) {
  std::vector<moec_string> names;
  std::vector<moec_tensor> tensors;
  for (const auto& [name, tensor] : weights_) {
    names.push_back(to_abi(name));
    tensors.push_back(tensor->view);
  }
  moec_create_info info{};
  info.struct_size = sizeof info;
  info.classes = classes();
  info.inputs = inputs();
  const bool pooled = (info.inputs & MOEC_INPUT_POOLED) != 0;
  info.pooling = !pooled                             ? MOEC_POOLING_NONE
                 : manifest().input.pooling == "cls" ? MOEC_POOLING_CLS
                                                     : MOEC_POOLING_MEAN;
  info.layer_count = layers_.size();
  info.layers = layers_.data();
  info.encoder = (info.inputs & ~uint32_t{MOEC_INPUT_TEXT}) != 0 ? &encoder_info_ : nullptr;
  info.config = to_abi(config_);
  info.weight_count = tensors.size();
  info.weight_names = names.data();
  info.weights = tensors.data();
  with(info);
}

moec_status Subject::create(moec_expert** expert, moec_error* error,
                            const std::function<void(moec_create_info&)>& edit) {
  moec_status status = MOEC_OK;
  with_info([&](moec_create_info& info) {
    if (edit)
      edit(info);
    else if (alter_info_)
      alter_info_(info);
    if (!lends_briefly_) {
      status = table().create(host_in_use_, &info, expert, error);
      return;
    }
    LentInfo& lent = *taken_back_.emplace_back(std::make_unique<LentInfo>(info));
    status = table().create(host_in_use_, &lent.info(), expert, error);
    lent.take_back();
  });
  return status;
}

}  // namespace moecollab::conformance
