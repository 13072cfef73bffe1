#include "conformance/test_expert.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <utility>

#include "base/strings.h"
#include "conformance/noise.h"

namespace moecollab::conformance {
namespace {

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
    fit({.rows = toy, .labels = labels, .epochs = 3, .briefly = subject.lends_briefly()});
  }
}

TestExpert::~TestExpert() {
  if (object_ != nullptr) subject_.table().destroy(object_);
}

void TestExpert::require_same_requirements(const char* when, Findings& findings) const {
  moec_requirements now{};
  now.struct_size = sizeof now;
  moec_error error = empty_error();
  const moec_status status = subject_.table().requirements(object_, &now, &error);
  if (status != MOEC_OK) throw CallFailed("requirements", status, error);
  const auto numbers = [](const moec_requirements& r) {
    return std::array<int64_t, 9>{
        r.classes,       r.inputs,          r.pooling,
        r.layout,        r.max_batch,       static_cast<int64_t>(r.layer_count),
        r.flops_per_row, r.flops_per_token, r.flops_per_pair};
  };
  if (numbers(now) != numbers(requirements_))
    findings.add("requirements() always says the same",
                 fmt::format("its numbers are others {}", when));
}

size_t TestExpert::at_most(size_t rows) const {
  const int64_t most = requirements_.max_batch;
  return most == 0 ? rows : std::min(rows, static_cast<size_t>(most));
}

std::vector<TestBatch::Row> TestExpert::rows(size_t count, uint64_t seed) const {
  std::mt19937_64 draw(seed * 7919 + subject_.seed());
  Noise noise(draw());
  const int64_t hidden = subject_.encoder().config.hidden;
  const auto values = [&](size_t n) {
    std::vector<float> result(n);
    for (float& value : result) value = noise.next();
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

std::vector<Parameter> TestExpert::described_parameters(float value) const {
  const moec_ext_params& params = *subject_.params();
  moec_error error = empty_error();
  std::vector<Parameter> all;
  const uint64_t count = params.count(object_);
  for (uint64_t i = 0; i < count; ++i) {
    moec_param_info info{};
    info.struct_size = sizeof info;
    if (const auto status = params.describe(object_, i, &info, &error); status != MOEC_OK)
      throw CallFailed("params.describe", status, error);
    const std::string name(info.name.data, info.name.size);
    for (const Parameter& other : all) {
      if (other.name == name)
        throw std::runtime_error(fmt::format("two parameters have the name {}", escaped(name)));
    }
    const std::vector<int64_t> shape(info.shape, info.shape + info.ndim);
    Parameter& p =
        all.emplace_back(Parameter{name, info.trainable != 0, info.lr_scale,
                                   std::make_unique<GuardedTensor>("parameter " + name, shape),
                                   std::make_unique<GuardedTensor>("gradient of " + name, shape)});
    std::fill_n(p.value->floats(), p.value->count(), value);
    std::fill_n(p.grad->floats(), p.grad->count(), 0.0F);
  }
  return all;
}

// The arrays of tensors are lent for the call only.
void TestExpert::bind_storage() {
  const size_t n = parameters_.size();
  GuardedMemory values("the list of values", n * sizeof(moec_tensor)),
      grads("the list of gradients", n * sizeof(moec_tensor));
  auto* value = static_cast<moec_tensor*>(values.data());
  auto* grad = static_cast<moec_tensor*>(grads.data());
  for (size_t i = 0; i < n; ++i) {
    value[i] = parameters_[i].value->view;
    grad[i] = parameters_[i].grad->view;
  }
  moec_error error = empty_error();
  const moec_status status = subject_.params()->bind(object_, value, grad, &error);
  if (status != MOEC_OK) throw CallFailed("params.bind", status, error);
}

void TestExpert::bind(uint64_t seed) {
  parameters_ = described_parameters(0);
  bind_storage();
  moec_error error = empty_error();
  if (!subject_.has_weights()) {
    if (const auto status = subject_.params()->init(object_, seed, &error); status != MOEC_OK)
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

std::vector<Parameter> TestExpert::rebind() {
  std::vector<Parameter> old = std::exchange(parameters_, described_parameters(0));
  for (size_t i = 0; i < parameters_.size(); ++i)
    std::copy_n(old[i].value->floats(), old[i].value->count(), parameters_[i].value->floats());
  bind_storage();
  params_changed();
  return old;
}

void TestExpert::vary(uint32_t seed, float deviation) {
  Noise noise(seed);
  for (Parameter& p : parameters_) {
    if (!p.trainable) continue;
    float* values = p.value->floats();
    const size_t n = p.value->count();
    const float squares = std::inner_product(values, values + n, values, 0.0F);
    const float size = std::sqrt(squares / static_cast<float>(n));
    const float scale = deviation * std::max(1.0F, 10 * size);
    for (size_t i = 0; i < n; ++i) values[i] += scale * noise.next();
  }
  params_changed();
}

void TestExpert::params_changed() {
  moec_error error = empty_error();
  const moec_status status = subject_.params()->params_changed(object_, &error);
  if (status != MOEC_OK) throw CallFailed("params.params_changed", status, error);
}

namespace {

// A batch of lessons in memory that a call is lent.
struct Lesson {
  Lesson(const TestExpert& expert, const Lessons& from, std::span<const size_t> of)
      : batch(expert.batch(chosen(from.rows, of))),
        labels("labels", {static_cast<int64_t>(of.size())}, MOEC_INT),
        weights("weights", {static_cast<int64_t>(of.size())}) {
    for (size_t i = 0; i < of.size(); ++i) {
      labels.ints()[i] = from.labels[of[i]];
      weights.floats()[i] = from.weights.empty() ? 1.0F : from.weights[of[i]];
    }
    labels.memory.make_read_only();
    weights.memory.make_read_only();
  }
  static std::vector<TestBatch::Row> chosen(const std::vector<TestBatch::Row>& rows,
                                            std::span<const size_t> of) {
    std::vector<TestBatch::Row> some;
    for (const size_t i : of) some.push_back(rows[i]);
    return some;
  }
  void take_back() {
    batch.take_back();
    labels.memory.take_back();
    weights.memory.take_back();
  }
  TestBatch batch;
  GuardedTensor labels, weights;
};

}  // namespace

void TestExpert::fit(const Lessons& lessons) {
  const moec_ext_fit& fit = *subject_.fit();
  const moec_exec exec = subject_.exec(true);
  moec_error error = empty_error();
  constexpr std::string_view kBatch = "fit_batch";
  const auto require = [&](std::string_view name, const auto& call) {
    moec_status status = call();
    if (status == MOEC_CANCELLED && lessons.again_if_stopped && name == kBatch) {
      lessons.again_if_stopped();
      error = empty_error();
      status = call();
    }
    if (status != MOEC_OK) throw CallFailed(std::string(name), status, error);
  };
  std::vector<size_t> order(lessons.rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const size_t step = at_most(lessons.batch == 0 ? order.size() : lessons.batch);
  std::mt19937 draw(4711);
  std::vector<std::unique_ptr<Lesson>> lent;  // nothing else gets their place
  require("fit_begin", [&] {
    return fit.fit_begin(object_, &exec, static_cast<int64_t>(order.size()), lessons.epochs, 1,
                         &error);
  });
  int32_t more = 1;
  for (int epoch = 0; epoch < lessons.epochs && more != 0; ++epoch) {
    if (lessons.shuffled) std::ranges::shuffle(order, draw);
    if (!lessons.briefly) lent.clear();
    for (size_t first = 0; first < order.size(); first += step) {
      const size_t count = std::min(step, order.size() - first);
      Lesson& lesson = *lent.emplace_back(
          std::make_unique<Lesson>(*this, lessons, std::span(order).subspan(first, count)));
      require(kBatch, [&] {
        return fit.fit_batch(object_, &exec, &lesson.batch.view(), &lesson.labels.view,
                             &lesson.weights.view, &error);
      });
      if (lessons.briefly) lesson.take_back();
    }
    constexpr int32_t kUnwritten = 0x5C5C5C5C;
    more = kUnwritten;
    require("fit_epoch_end", [&] { return fit.fit_epoch_end(object_, &exec, &more, &error); });
    if (more == kUnwritten) throw std::runtime_error("fit_epoch_end() left *want_more unwritten");
    if (lessons.after_epoch) lessons.after_epoch(epoch, more != 0);
    if (lessons.whatever_it_wants) more = 1;
  }
  require("fit_end", [&] { return fit.fit_end(object_, &error); });
}

std::vector<TestExpert::Learnt> TestExpert::learnt(Findings& findings) const {
  std::vector<Learnt> all;
  for (const Parameter& p : parameters_) {
    Learnt& copy =
        all.emplace_back(p.name, std::make_unique<GuardedTensor>(p.name, p.value->shape));
    std::copy_n(p.value->floats(), p.value->count(), copy.tensor->floats());
  }
  const moec_ext_state* state = subject_.state();
  const uint64_t count = state == nullptr ? 0 : state->count(object_);
  for (uint64_t i = 0; i < count; ++i) {
    moec_state_info info{};
    info.struct_size = sizeof info;
    moec_error error = empty_error();
    if (const auto status = state->describe(object_, i, &info, &error); status != MOEC_OK)
      throw CallFailed("state.describe", status, error);
    const std::string name(info.name.data, info.name.size);
    Learnt& read = all.emplace_back(
        name, std::make_unique<GuardedTensor>(
                  "state " + name, std::vector<int64_t>(info.shape, info.shape + info.ndim)));
    float* values = read.tensor->floats();
    std::fill_n(values, read.tensor->count(), std::numeric_limits<float>::quiet_NaN());
    if (const auto status = state->read(object_, i, &read.tensor->view, &error); status != MOEC_OK)
      throw CallFailed("state.read", status, error);
    if (const std::string outside = read.tensor->memory.outside(); !outside.empty())
      findings.add("state.read() writes the tensor and nothing else", "it wrote " + outside);
    if (!std::all_of(values, values + read.tensor->count(),
                     [](float v) { return std::isfinite(v); }))
      findings.add(
          fmt::format("state.read() writes every element of {}, finite", escaped(name, 80)),
          "some are not");
  }
  for (const Learnt& each : all) each.tensor->memory.make_read_only();
  return all;
}

void TestExpert::begin_and_leave(const Lessons& lessons) {
  const moec_exec exec = subject_.exec(true);
  moec_error error = empty_error();
  std::vector<size_t> order(at_most(lessons.rows.size()));
  std::iota(order.begin(), order.end(), size_t{0});
  const Lesson lesson(*this, lessons, order);
  const moec_ext_fit& fit = *subject_.fit();
  moec_status status = fit.fit_begin(object_, &exec, static_cast<int64_t>(lessons.rows.size()),
                                     lessons.epochs, 1, &error);
  if (status != MOEC_OK) throw CallFailed("fit_begin", status, error);
  status = fit.fit_batch(object_, &exec, &lesson.batch.view(), &lesson.labels.view,
                         &lesson.weights.view, &error);
  if (status != MOEC_OK) throw CallFailed("fit_batch", status, error);
}

bool deterministic(const Subject& subject, Findings& findings) {
  if (!subject.manifest().output.deterministic)
    findings.not_applicable("expert.toml says output.deterministic = false");
  return subject.manifest().output.deterministic;
}

std::vector<float> forward_all(TestExpert& expert, const std::vector<TestBatch::Row>& rows) {
  const size_t step = expert.at_most(rows.size());
  std::vector<float> all;
  for (size_t first = 0; first < rows.size(); first += step) {
    const size_t last = std::min(rows.size(), first + step);
    const auto part = expert.forward(expert.batch({rows.begin() + static_cast<ptrdiff_t>(first),
                                                   rows.begin() + static_cast<ptrdiff_t>(last)}));
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace moecollab::conformance
