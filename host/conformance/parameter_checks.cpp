// Level 4, what an expert learns lies in tensors of the host's: parameters and state say what they
// are, are the host's to change, and make the same expert again.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "base/strings.h"
#include "conformance/check.h"
#include "conformance/distance.h"
#include "conformance/rebirth.h"
#include "conformance/test_expert.h"
#include "conformance/training_pass.h"

namespace moecollab::conformance {
namespace {

// --- what describe() says

constexpr uint32_t kSteps = 25;
constexpr std::chrono::milliseconds kStepsTime(500);

// One description, in words; throws CallFailed.
template <typename Info, typename Extension>
std::string described(const Extension& extension, const char* call, moec_expert* expert,
                      uint64_t index) {
  Info info{};
  info.struct_size = sizeof info;
  moec_error error = empty_error();
  if (const auto status = extension.describe(expert, index, &info, &error); status != MOEC_OK)
    throw CallFailed(call, status, error);
  std::string text(info.name.data, info.name.size);
  if constexpr (std::is_same_v<Info, moec_param_info>) {
    for (int32_t d = 0; d < info.ndim; ++d) text += fmt::format(" {}", info.shape[d]);
    text += fmt::format(", {} {} {}", info.trainable, info.decay, info.lr_scale);
  }
  return text;
}

template <typename Info, typename Extension>
std::vector<std::string> all_described(const Extension& extension, const char* call,
                                       moec_expert* expert) {
  std::vector<std::string> all;
  const uint64_t count = extension.count(expert);
  for (uint64_t i = 0; i < count; ++i) all.push_back(described<Info>(extension, call, expert, i));
  return all;
}

// A host of an older version knows no more than name and shape; a later one more than all.
template <typename Info, typename Extension>
void check_described_sizes(const Extension& extension, const char* call, moec_expert* expert,
                           Findings& findings) {
  constexpr unsigned char kPattern = 0x5C;
  for (const size_t size : {offsetof(Info, shape) + sizeof(void*), sizeof(Info) + 32}) {
    alignas(16) unsigned char space[sizeof(Info) + 64];
    std::memset(space, kPattern, sizeof space);
    std::memset(space, 0, size);
    auto* out = reinterpret_cast<Info*>(space);
    out->struct_size = static_cast<uint32_t>(size);
    moec_error error = empty_error();
    if (const auto status = extension.describe(expert, 0, out, &error); status != MOEC_OK)
      throw CallFailed(call, status, error);
    const bool beyond = std::any_of(space + size, space + sizeof space,
                                    [](unsigned char byte) { return byte != kPattern; });
    if (beyond || out->struct_size != size)
      findings.add(fmt::format("{}() writes no more than struct_size says ({} bytes), and not "
                               "struct_size",
                               call, size),
                   "it does");
  }
}

template <typename Info>
void judge_info(const Info& info, const char* what, std::set<std::string>& names,
                Findings& findings) {
  const std::string name(info.name.data, info.name.size);
  if (name.empty() || !is_utf8(name))
    findings.add(fmt::format("each {} has a name of UTF-8 text", what),
                 name.empty() ? "one has none" : escaped(name, 80));
  if (!names.insert(name).second)
    findings.add("parameters and state tensors have names of their own",
                 fmt::format("two have {}", escaped(name, 80)));
  for (int32_t d = 0; d < info.ndim; ++d) {
    if (info.shape[d] < 1)
      findings.add(fmt::format("each length of {} is 1 at least", escaped(name, 80)),
                   std::to_string(info.shape[d]));
  }
}

void check_tensors(Subject& subject, Findings& findings) {
  const moec_ext_params* params = subject.params();
  const moec_ext_state* state = subject.state();
  if (params == nullptr && state == nullptr)
    return findings.not_applicable("it has neither moecollab.params/1 nor moecollab.state/1");
  TestExpert expert(subject);
  std::set<std::string> names;
  const auto describe = [&](const auto& extension, auto info, const char* call, const char* what) {
    const uint64_t count = extension.count(expert.get());
    for (uint64_t i = 0; i < count; ++i) {
      info = {};
      info.struct_size = sizeof info;
      moec_error error = empty_error();
      if (const auto status = extension.describe(expert.get(), i, &info, &error); status != MOEC_OK)
        throw CallFailed(call, status, error);
      judge_info(info, what, names, findings);
      if constexpr (std::is_same_v<decltype(info), moec_param_info>) {
        if (!(info.lr_scale > 0) || !std::isfinite(info.lr_scale))
          findings.add(fmt::format("lr_scale of {} is greater than 0",
                                   escaped({info.name.data, info.name.size}, 80)),
                       fmt::format("{}", info.lr_scale));
      }
    }
    if (count > 0) check_described_sizes<decltype(info)>(extension, call, expert.get(), findings);
  };
  const auto all = [&] {
    std::vector<std::string> texts;
    if (params != nullptr)
      texts = all_described<moec_param_info>(*params, "params.describe", expert.get());
    if (state != nullptr) {
      for (auto& text : all_described<moec_state_info>(*state, "state.describe", expert.get()))
        texts.push_back(std::move(text));
    }
    return texts;
  };
  if (params != nullptr) describe(*params, moec_param_info{}, "params.describe", "parameter");
  if (state != nullptr) describe(*state, moec_state_info{}, "state.describe", "state tensor");
  const std::vector<std::string> before = all();
  const TestBatch batch = expert.batch(expert.rows(expert.at_most(4), 1));
  expert.forward(batch);
  if (subject.params() != nullptr && subject.train() != nullptr) {
    expert.bind(2);
    const auto end = std::chrono::steady_clock::now() + kStepsTime;
    for (uint32_t step = 0; step < kSteps && std::chrono::steady_clock::now() < end; ++step) {
      train_once(subject, expert, batch);
      expert.vary(step, 0.001F);
    }
  }
  if (all() != before)
    findings.add("parameters and state are described alike in all an expert's life",
                 "their number, names or shapes are others after some steps of training");
}

// --- storage of the host's

std::vector<std::vector<float>> values_of(const std::vector<Parameter>& parameters) {
  std::vector<std::vector<float>> all;
  for (const Parameter& p : parameters)
    all.emplace_back(p.value->floats(), p.value->floats() + p.value->count());
  return all;
}

bool same_bits(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) {
    return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
  });
}

void check_init(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  const auto init = [&](TestExpert& expert, uint64_t seed) {
    for (Parameter& p : expert.parameters())
      std::fill_n(p.value->floats(), p.value->count(), std::numeric_limits<float>::quiet_NaN());
    moec_error error = empty_error();
    const moec_status status = subject.params()->init(expert.get(), seed, &error);
    if (status != MOEC_OK) throw CallFailed("params.init", status, error);
    expert.params_changed();
    return values_of(expert.parameters());
  };
  TestExpert expert(subject), other(subject);
  for (TestExpert* each : {&expert, &other}) {
    if (each->parameters().empty()) each->bind(1);
  }
  const auto first = init(expert, 7);
  for (size_t i = 0; i < first.size(); ++i) {
    const Parameter& p = expert.parameters()[i];
    if (const std::string outside = p.value->memory.outside(); !outside.empty())
      findings.add("init() writes the bound values and nothing else", "it wrote " + outside);
    if (all_finite(first[i])) continue;
    findings.add(fmt::format("init() writes every element of {}, finite", escaped(p.name, 80)),
                 "some hold what was there before, or are not finite");
  }
  if (!same_bits(first, init(other, 7)))
    findings.add("equal seeds give equal initial values, in another object too", "they differ");
  const TestBatch batch = expert.batch(expert.rows(expert.at_most(4), 5));
  const std::vector<float> answers = expert.forward(batch);
  init(expert, 8);
  expert.forward(batch);
  if (!same_bits(first, init(expert, 7)))
    findings.add("equal seeds give equal initial values, however often", "they differ");
  else if (subject.manifest().output.deterministic && expert.forward(batch) != answers)
    findings.add("equal values give equal answers after params_changed()", "they differ");
}

// A second object is what the first one should be.
void check_rebind(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  if (!deterministic(subject, findings)) return;
  TestExpert expert(subject, 3), control(subject, 3);
  for (TestExpert* each : {&expert, &control}) {
    if (each->parameters().empty()) each->bind(3);
    each->vary(5, 0.02F);
  }
  const TestBatch batch = expert.batch(expert.rows(expert.at_most(5), 4));
  expert.forward(batch);
  std::vector<Parameter> old = expert.rebind();
  for (Parameter& p : old) {
    p.value->memory.take_back();
    p.grad->memory.take_back();
  }
  expert.vary(6, 0.05F);
  control.vary(6, 0.05F);
  const std::vector<float> seen = expert.forward(batch), expected = control.forward(batch);
  if (distance(expected.data(), seen.data(), seen.size()) > kSameAnswers)
    findings.add("after a second bind() the expert reads the new values", "the logits are others");
  for (const float scale : {50.0F, 0.02F}) {
    for (Parameter& p : expert.parameters()) {
      for (size_t i = 0; p.trainable && i < p.value->count(); ++i) p.value->floats()[i] *= scale;
    }
    const auto written = values_of(expert.parameters());
    expert.params_changed();
    expert.forward(batch);
    if (!same_bits(written, values_of(expert.parameters())))
      findings.add("nobody but init() and the host writes parameters",
                   "they are others after params_changed() and forward()");
  }
  for (size_t i = 0; i < control.parameters().size(); ++i) {
    const Parameter& from = control.parameters()[i];
    std::copy_n(from.value->floats(), from.value->count(), expert.parameters()[i].value->floats());
  }
  expert.params_changed();
  const auto before = values_of(expert.parameters());
  train_once(subject, expert, batch);
  train_once(subject, control, batch);
  if (!same_bits(before, values_of(expert.parameters())))
    findings.add("nobody but init() and the host writes parameters",
                 "they are others after forward(), forward_train() and vjp()");
  for (size_t i = 0; i < before.size(); ++i) {
    const Parameter &mine = expert.parameters()[i], &theirs = control.parameters()[i];
    if (distance(theirs.grad->floats(), mine.grad->floats(), mine.grad->count()) > 1e-4)
      findings.add(fmt::format("after a second bind() the gradient of {} goes to the new storage",
                               escaped(mine.name, 80)),
                   "it is another than that of an expert which was bound once");
  }
}

// --- the same expert again

// An expert that has learnt something: from its own lessons, with weights that are fractions, or
// from changed parameters.
void teach(Subject& subject, TestExpert& expert) {
  if (subject.params() != nullptr && subject.train() != nullptr) {
    if (expert.parameters().empty()) expert.bind(3);
    expert.forward(expert.batch(expert.rows(1, 3)));  // what is derived is there to be dropped
    return expert.vary(5, 0.05F);
  }
  if (subject.fit() == nullptr) return;
  Lessons lessons{.rows = expert.rows(10, 3), .labels = {}, .epochs = 3};
  for (size_t i = 0; i < lessons.rows.size(); ++i) {
    lessons.labels.push_back(static_cast<int32_t>(i % static_cast<size_t>(subject.classes())));
    lessons.weights.push_back(0.3F + 0.17F * static_cast<float>(i % 5));
  }
  expert.fit(lessons);
}

bool learns(Subject& subject, Findings& findings) {
  if (!subject.manifest().output.deterministic)
    findings.not_applicable("expert.toml says output.deterministic = false");
  else if (subject.state() == nullptr && (subject.params() == nullptr || !subject.train()))
    findings.not_applicable("it gives neither parameters nor state");
  else
    return true;
  return false;
}

void check_reborn(Subject& subject, Findings& findings) {
  if (!learns(subject, findings)) return;
  NewProcess elsewhere(subject);
  TestExpert taught(subject, 3);
  teach(subject, taught);
  const std::vector<float> expected = taught.forward(taught.batch(rows_of_reborn(taught)));
  taught.require_same_requirements("after it has learnt", findings);
  const std::vector<TestExpert::Learnt> learnt = taught.learnt(findings);
  const auto require = [&](const std::vector<float>& seen, const char* where, const char* cure) {
    const double off = distance(expected.data(), seen.data(), seen.size());
    if (off > kSameAnswers)
      findings.add(fmt::format("create() with what was learnt as weights makes the same expert{} "
                               "(to {:g})",
                               where, kSameAnswers),
                   fmt::format("its logits differ by {:.3g}", off), cure);
  };
  constexpr const char* kStatic =
      "keep all that was learnt in state and parameters: static memory is of one process";
  const std::vector<float> there = elsewhere.answers(learnt);
  require(answers_of_reborn(subject, learnt), "", "");
  if (there.size() == expected.size())
    require(there, " in another process", kStatic);
  else
    findings.add("create() with what was learnt as weights makes an expert in another process",
                 "there it gave no answer", kStatic);
}

void check_state_roundtrip(Subject& subject, Findings& findings) {
  const moec_ext_state* state = subject.state();
  if (state == nullptr) return findings.not_applicable("it has no moecollab.state/1");
  if (!learns(subject, findings)) return;
  TestExpert taught(subject);
  teach(subject, taught);
  const std::vector<TestBatch::Row> rows = taught.rows(taught.at_most(40), 6);
  const std::vector<float> expected = taught.forward(taught.batch(rows));
  const std::vector<TestExpert::Learnt> tensors = taught.learnt(findings);
  const size_t first = taught.parameters().size();
  for (const bool backwards : {false, true}) {
    TestExpert fresh(subject, 2, /*ready=*/subject.fit() == nullptr);
    for (size_t n = 0; n + first < tensors.size(); ++n) {
      const size_t i = backwards ? tensors.size() - first - 1 - n : n;
      const GuardedTensor& source = *tensors[first + i].tensor;
      GuardedTensor lent("the source of state.write()", source.shape);
      std::copy_n(source.floats(), source.count(), lent.floats());
      lent.memory.make_read_only();
      moec_error error = empty_error();
      if (const auto status = state->write(fresh.get(), i, &lent.view, &error); status != MOEC_OK)
        throw CallFailed("state.write", status, error);
      lent.memory.take_back();
    }
    if (first > 0 && fresh.parameters().empty()) fresh.bind(1);
    for (size_t p = 0; p < first; ++p) {
      const auto& from = *taught.parameters()[p].value;
      std::copy_n(from.floats(), from.count(), fresh.parameters()[p].value->floats());
    }
    if (first > 0) fresh.params_changed();
    const std::vector<float> seen = fresh.forward(fresh.batch(rows));
    fresh.require_same_requirements("after state.write()", findings);
    if (std::memcmp(expected.data(), seen.data(), expected.size() * sizeof(float)) != 0)
      findings.add(fmt::format("an object that was given another's state{} answers with the same "
                               "bits",
                               backwards ? ", the last tensor first," : ""),
                   "its logits differ");
  }
}

constexpr Check kParameterChecks[] = {
    {"tensors", 4, "parameters and state have names, shapes and a number that stay",
     "describe each tensor once, by a name of its own; write at most struct_size bytes",
     &check_tensors},
    {"init", 4, "init() writes all initial values, and the seed decides them",
     "write every element, zeros too; seed the generator in init()", &check_init},
    {"rebind", 4, "bind() may be called again, with other storage",
     "replace all pointers of values and gradients; keep none and no copy, and make again in "
     "params_changed() what is derived from values",
     &check_rebind},
    {"reborn", 4, "what was learnt makes the same expert when create() gets it as weights",
     "store all that was learnt, in float32, under the names that create() looks for; make what is "
     "derived from values in create() and again in params_changed()",
     &check_reborn},
    {"state-roundtrip", 4, "state read from one object and written to another gives the same bits",
     "store all that was learnt, in float32, and derive the rest from it in write()",
     &check_state_roundtrip},
};

}  // namespace

std::span<const Check> parameter_checks() { return kParameterChecks; }

}  // namespace moecollab::conformance
