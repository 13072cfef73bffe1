#include "conformance/subject.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <cstring>

#include "base/digest.h"
#include "base/strings.h"
#include "conformance/test_host.h"
#include "experts/inputs.h"
#include "registry/manifest.h"
#include "weights/convert.h"
#include "weights/safetensors.h"

namespace moecollab::conformance {
namespace {

constexpr uint64_t kMaxLibrary = uint64_t{256} << 20;
constexpr const char* kWeightsFile = "weights.safetensors";
constexpr int32_t kToyClasses = 3;  // of a package whose labels come with its training data

moec_string to_abi(std::string_view text) { return {text.data(), text.size()}; }

// --- batches

const char* const kTexts[] = {
    "The referee waved play on.",
    "Rain is expected in the north, with gales over the western isles by nightfall.",
    "a",
    "Die Prüfung ergab keinen Befund; 微かな光が見える。 \xF0\x9F\x8C\x8A",
    "WHEREAS the Lessee shall indemnify the Lessor against all claims, losses and costs arising "
    "from its use of the premises, howsoever caused;",
    "12,500 shares at 3.4 %!",
    "\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D and \xD8\xB3\xD9\x84\xD8\xA7\xD9\x85",
    "I can't believe how happy this makes me :)",
};

}  // namespace

EncoderFacts toy_encoder() {
  EncoderFacts facts;
  facts.config.layers = 4;
  facts.config.hidden = 32;
  facts.config.heads = 4;
  facts.config.intermediate = 64;
  facts.config.vocabulary = 1000;
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

void Subject::adopt(const std::vector<TestExpert::Parameter>& parameters) {
  weights_.clear();
  for (const TestExpert::Parameter& p : parameters) {
    auto tensor = std::make_unique<GuardedTensor>("weight " + p.name, p.value->shape);
    std::copy_n(p.value->floats(), p.value->count(), tensor->floats());
    tensor->memory.make_read_only();
    weights_.emplace_back(p.name, std::move(tensor));
  }
}

const experts::Library& Subject::library() {
  if (library_ == nullptr) library_ = &experts::Library::load(bytes_, sha256_, path_);
  return *library_;
}

void Subject::set_stop(bool stop) { set_stop_of_test_host(stop); }

moec_exec Subject::exec(bool training, uint64_t seed) const {
  moec_exec exec{};
  exec.struct_size = sizeof exec;
  exec.device_type = MOEC_CPU;
  exec.threads = 1;
  exec.seed = seed;
  exec.training = training ? 1 : 0;
  return exec;
}

moec_status Subject::create(moec_expert** expert, moec_error* error,
                            const std::function<void(moec_create_info&)>& edit) {
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
  if (edit) edit(info);
  const moec_host* host = offers_blocks_ ? &host_with_blocks_ : &host_;
  if (!lends_briefly_) return table().create(host, &info, expert, error);
  LentInfo& lent = *taken_back_.emplace_back(std::make_unique<LentInfo>(info));
  const moec_status status = table().create(host, &lent.info(), expert, error);
  lent.take_back();
  return status;
}

// --- TestExpert

TestExpert::TestExpert(Subject& subject, uint64_t seed, bool ready) : subject_(subject) {
  moec_error error = empty_error();
  const moec_status status = subject.create(&object_, &error);
  if (status != MOEC_OK) throw CallFailed("create", status, error);
  if (object_ == nullptr) throw std::runtime_error("create() gave status 0 and no object");
  requirements_.struct_size = sizeof requirements_;
  const moec_status stated = subject.table().requirements(object_, &requirements_, &error);
  if (stated != MOEC_OK) throw CallFailed("requirements", stated, error);
  if (!ready || subject.has_weights()) return;
  if (subject.params() != nullptr && subject.train() != nullptr) {
    bind(seed);
  } else if (subject.fit() != nullptr) {
    const std::vector<TestBatch::Row> toy = rows(24, seed);
    std::vector<int32_t> labels;
    for (size_t i = 0; i < toy.size(); ++i)
      labels.push_back(static_cast<int32_t>(i % static_cast<size_t>(subject.classes())));
    fit_toy(toy, labels, std::vector<float>(toy.size(), 1.0F), 3, subject.lends_briefly());
  }
}

TestExpert::~TestExpert() {
  if (object_ != nullptr) subject_.table().destroy(object_);
}

size_t TestExpert::at_most(size_t rows) const {
  const int64_t most = requirements_.max_batch;
  return most == 0 ? rows : std::min(rows, static_cast<size_t>(most));
}

std::vector<TestBatch::Row> TestExpert::rows(size_t count, uint64_t seed) const {
  std::mt19937_64 draw(seed * 7919 + subject_.seed());
  std::normal_distribution<float> normal;
  const int64_t hidden = subject_.encoder().config.hidden;
  const auto values = [&](size_t n) {
    std::vector<float> result(n);
    for (float& value : result) value = normal(draw);
    return result;
  };
  std::vector<TestBatch::Row> rows(count);
  for (size_t i = 0; i < count; ++i) {
    TestBatch::Row& row = rows[i];
    row.id = static_cast<int64_t>(i);
    row.text = fmt::format("{} {}", kTexts[draw() % std::size(kTexts)], draw() % 1000);
    const size_t tokens = 2 + draw() % 14;
    for (size_t t = 0; t < tokens; ++t)
      row.tokens.push_back(static_cast<int32_t>(
          draw() %
          static_cast<uint64_t>(std::max<int64_t>(2, subject_.encoder().config.vocabulary))));
    for (uint64_t l = 0; l < requirements_.layer_count; ++l) {
      row.hidden.push_back(values(tokens * static_cast<size_t>(hidden)));
      row.pooled.push_back(values(static_cast<size_t>(hidden)));
    }
  }
  return rows;
}

TestBatch TestExpert::batch(const std::vector<TestBatch::Row>& rows, bool read_only) const {
  return TestBatch(rows, requirements_.inputs, requirements_.layer_count,
                   subject_.encoder().config.hidden, read_only);
}

std::vector<float> TestExpert::forward(const TestBatch& batch, std::string* outside) {
  return forward(batch, subject_.exec(), outside);
}

std::vector<float> TestExpert::forward(const TestBatch& batch, const moec_exec& exec,
                                       std::string* outside) {
  GuardedTensor logits("logits", {batch.view().rows, subject_.classes()});
  constexpr uint32_t kUnwritten = 0x7FA0DEAD;  // a signalling NaN that no computation gives
  for (size_t i = 0; i < logits.count(); ++i)
    std::memcpy(logits.floats() + i, &kUnwritten, sizeof kUnwritten);
  moec_error error = empty_error();
  const moec_status status =
      subject_.table().forward(object_, &exec, &batch.view(), &logits.view, &error);
  if (status != MOEC_OK) throw CallFailed("forward", status, error);
  if (outside != nullptr) *outside = logits.memory.outside();
  return {logits.floats(), logits.floats() + logits.count()};
}

void TestExpert::bind(uint64_t seed) {
  const moec_ext_params& params = *subject_.params();
  moec_error error = empty_error();
  parameters_.clear();
  std::vector<moec_tensor> values, grads;
  const uint64_t count = params.count(object_);
  for (uint64_t i = 0; i < count; ++i) {
    moec_param_info info{};
    info.struct_size = sizeof info;
    if (const auto status = params.describe(object_, i, &info, &error); status != MOEC_OK)
      throw CallFailed("params.describe", status, error);
    const std::string name(info.name.data, info.name.size);
    for (const Parameter& other : parameters_) {
      if (other.name == name)
        throw std::runtime_error(fmt::format("two parameters have the name {}", escaped(name)));
    }
    const std::vector<int64_t> shape(info.shape, info.shape + info.ndim);
    Parameter& p = parameters_.emplace_back(Parameter{
        name, info.trainable != 0, std::make_unique<GuardedTensor>("parameter " + name, shape),
        std::make_unique<GuardedTensor>("gradient of " + name, shape)});
    std::fill_n(p.value->floats(), p.value->count(), 0.0F);
    std::fill_n(p.grad->floats(), p.grad->count(), 0.0F);
    values.push_back(p.value->view);
    grads.push_back(p.grad->view);
  }
  if (const auto status = params.bind(object_, values.data(), grads.data(), &error);
      status != MOEC_OK)
    throw CallFailed("params.bind", status, error);
  if (!subject_.has_weights()) {
    if (const auto status = params.init(object_, seed, &error); status != MOEC_OK)
      throw CallFailed("params.init", status, error);
  }
  for (Parameter& p : parameters_) {
    for (const auto& [name, weight] : subject_.weights()) {
      if (name == p.name && weight->count() == p.value->count())
        std::copy_n(weight->floats(), weight->count(), p.value->floats());
    }
  }
  params_changed();
}

void TestExpert::vary(uint32_t seed, float deviation) {
  std::mt19937 draw(seed);
  std::normal_distribution<float> normal(0, deviation);
  for (Parameter& p : parameters_) {
    for (size_t i = 0; i < p.value->count(); ++i) p.value->floats()[i] += normal(draw);
  }
  params_changed();
}

void TestExpert::params_changed() {
  moec_error error = empty_error();
  const moec_status status = subject_.params()->params_changed(object_, &error);
  if (status != MOEC_OK) throw CallFailed("params.params_changed", status, error);
}

void TestExpert::fit_toy(const std::vector<TestBatch::Row>& rows,
                         const std::vector<int32_t>& labels, const std::vector<float>& weights,
                         int epochs, bool briefly) {
  const moec_ext_fit& fit = *subject_.fit();
  const moec_exec exec = subject_.exec(true);
  moec_error error = empty_error();
  const auto require = [&](moec_status status, const char* call) {
    if (status != MOEC_OK) throw CallFailed(call, status, error);
  };
  const auto n = static_cast<int64_t>(rows.size());
  struct Lesson {
    Lesson(const TestExpert& expert, const std::vector<TestBatch::Row>& rows, int64_t n)
        : batch(expert.batch(rows)), labels("labels", {n}, MOEC_INT), weights("weights", {n}) {}
    TestBatch batch;
    GuardedTensor labels, weights;
  };
  std::vector<std::unique_ptr<Lesson>> lent;
  const auto lend = [&]() -> Lesson& {
    Lesson& lesson = *lent.emplace_back(std::make_unique<Lesson>(*this, rows, n));
    std::copy(labels.begin(), labels.end(), lesson.labels.ints());
    std::copy(weights.begin(), weights.end(), lesson.weights.floats());
    lesson.labels.memory.make_read_only();
    lesson.weights.memory.make_read_only();
    return lesson;
  };
  require(fit.fit_begin(object_, &exec, n, epochs, 1, &error), "fit_begin");
  int32_t more = 1;
  for (int epoch = 0; epoch < epochs && more != 0; ++epoch) {
    Lesson& lesson = lent.empty() || briefly ? lend() : *lent.back();
    require(fit.fit_batch(object_, &exec, &lesson.batch.view(), &lesson.labels.view,
                          &lesson.weights.view, &error),
            "fit_batch");
    if (briefly) {
      lesson.batch.take_back();
      lesson.labels.memory.take_back();
      lesson.weights.memory.take_back();
    }
    require(fit.fit_epoch_end(object_, &exec, &more, &error), "fit_epoch_end");
  }
  require(fit.fit_end(object_, &error), "fit_end");
}

}  // namespace moecollab::conformance
