// Level 2: experts are made, refused and destroyed as abi.h says, from whatever a host gives.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "conformance/check.h"
#include "conformance/test_expert.h"
#include "conformance/test_host.h"

namespace moecollab::conformance {
namespace {

constexpr int kRounds = 100;
constexpr int64_t kLeak = 128;  // bytes per round that are no leak
// LibTorch frees in one thread what another one allocated, and keeps some of it.
constexpr int64_t kTorchLeak = 1024;
constexpr int kLeastRounds = 8;
constexpr std::chrono::milliseconds kCreateTime(2000);
constexpr size_t kTriedWeights = 8;
constexpr std::chrono::milliseconds kWarmUp(500);

void check_create_destroy(Subject& subject, Findings& findings) {
  const auto end = std::chrono::steady_clock::now() + kCreateTime;
  for (int i = 0; i < kRounds; ++i) {
    TestExpert(subject, 1, /*ready=*/false);
    if (i + 1 < kRounds && std::chrono::steady_clock::now() > end)
      return findings.note(fmt::format("{} times: more take too long", i + 1));
  }
}

// Calls that fail, as they do in a host that lives long: what they made is freed too.
void check_failure_leaks(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  const TestBatch batch = expert.batch(expert.rows(expert.at_most(8), 1), /*read_only=*/false);
  GuardedTensor logits("logits", {batch.view().rows, subject.classes()});
  const moec_exec exec = subject.exec();
  const auto create = [&](const std::function<void(moec_create_info&)>& edit) {
    moec_expert* made = nullptr;
    moec_error error = empty_error();
    subject.create(&made, &error, edit);
    subject.table().destroy(made);
  };
  const std::pair<const char*, std::function<void()>> calls[] = {
      {"create() with 0 classes",
       [&] { create([](moec_create_info& info) { info.classes = 0; }); }},
      {"create() without the last weight",
       [&] {
         create([](moec_create_info& info) { info.weight_count -= info.weight_count > 0 ? 1 : 0; });
       }},
      {"forward() without a batch",
       [&] { subject.table().forward(expert.get(), &exec, nullptr, &logits.view, nullptr); }},
      {"forward() that is asked to stop", [&] {
         Subject::set_stop(true);
         subject.table().forward(expert.get(), &exec, &batch.view(), &logits.view, nullptr);
         Subject::set_stop(false);
       }}};
  const bool torch = subject.uses_torch();
  for (const auto& [name, call] : calls) {
    constexpr int kCalls = 20;
    const auto start = std::chrono::steady_clock::now();
    call();
    if (std::chrono::steady_clock::now() - start > std::chrono::milliseconds(50)) continue;
    const int64_t grown = least_growth((torch ? kTorchLeak : kLeak) * kCalls, [&] {
      for (int i = 0; i < kCalls; ++i) call();
    });
    if (grown > 0)
      findings.add(fmt::format("{} leaves nothing behind", name),
                   fmt::format("{} bytes more after {} calls", grown, kCalls));
  }
}

void check_leaks(Subject& subject, Findings& findings) {
  const auto round = [&] {
    TestExpert expert(subject);
    const TestBatch batch = expert.batch(expert.rows(expert.at_most(8), 1), /*read_only=*/false);
    for (int i = 0; i < 4; ++i) expert.forward(batch);
  };
  // An expert of many parameters takes a while to make.
  const auto start = std::chrono::steady_clock::now();
  int rounds = 0;
  while (rounds < kLeastRounds ||
         (rounds < kRounds / 2 && std::chrono::steady_clock::now() - start < kWarmUp)) {
    round();
    ++rounds;
  }
  const bool torch = subject.uses_torch();
  const int64_t grown = least_growth((torch ? kTorchLeak : kLeak) * rounds, [&] {
    for (int i = 0; i < rounds; ++i) round();
  });
  if (grown > 0)
    findings.add("making, using and destroying experts leaves nothing behind",
                 fmt::format("{} bytes more after {} rounds", grown, rounds));
  check_failure_leaks(subject, findings);
}

// Expects create() to refuse; says what it did instead.
void expect_refused(Subject& subject, Findings& findings, const std::string& what,
                    const std::function<void(moec_create_info&)>& edit) {
  moec_expert* expert = nullptr;
  moec_error error = empty_error();
  const moec_status status = subject.create(&expert, &error, edit);
  if (status == MOEC_OK) {
    findings.add(fmt::format("create() refuses {}", what), "it made an expert");
    return;
  }
  if (expert != nullptr)
    findings.add(fmt::format("*expert stays NULL if create() refuses {}", what), "it was set");
}

void check_create_refusals(Subject& subject, Findings& findings) {
  moec_expert* expert = nullptr;
  moec_error error = empty_error();
  const moec_library& table = subject.table();
  if (table.create(&subject.host(), nullptr, &expert, &error) == MOEC_OK)
    findings.add("create() refuses info = NULL", "it gave status 0");
  if (table.describe()->classes != 0) {
    expect_refused(subject, findings, "a class count other than its own",
                   [](moec_create_info& info) { ++info.classes; });
  }
  if (subject.has_weights()) {
    expect_refused(subject, findings, "weights for another number of classes",
                   [](moec_create_info& info) { info.classes += 7; });
  }
  for (const int32_t classes : {0, -1}) {
    expect_refused(subject, findings, fmt::format("a class count of {}", classes),
                   [classes](moec_create_info& info) { info.classes = classes; });
  }
}

// --- weights

// What an expert made of the package's values, changed by `edit`, answers; nullopt if create()
// refuses them.
std::optional<std::vector<float>> answers(Subject& subject, const std::vector<TestBatch::Row>& rows,
                                          const std::function<void(moec_create_info&)>& edit) {
  subject.alter_info(edit);
  const std::shared_ptr<void> unaltered(nullptr, [&](void*) { subject.alter_info({}); });
  try {
    TestExpert expert(subject, 1, /*ready=*/false);
    return expert.forward(expert.batch(rows));
  } catch (const CallFailed&) {
    return std::nullopt;
  }
}

// Weights come in the order of a file that others may write, and a damaged one lacks some.
void check_weights(Subject& subject, Findings& findings) {
  if (!subject.has_weights()) return findings.not_applicable("the package has no weights");
  const bool deterministic = subject.manifest().output.deterministic;
  TestExpert expert(subject);
  const std::vector<TestBatch::Row> rows = expert.rows(expert.at_most(6), 3);
  const std::vector<float> expected = expert.forward(expert.batch(rows));
  std::vector<moec_string> names;
  std::vector<moec_tensor> tensors;
  const auto lend = [&](moec_create_info& info) {
    info.weight_names = names.data();
    info.weights = tensors.data();
    info.weight_count = tensors.size();
  };
  const auto reset = [&] {
    names.clear();
    tensors.clear();
    for (const auto& [name, tensor] : subject.weights()) {
      names.push_back({name.data(), name.size()});
      tensors.push_back(tensor->view);
    }
  };
  reset();
  std::reverse(names.begin(), names.end());
  std::reverse(tensors.begin(), tensors.end());
  const auto reversed = answers(subject, rows, lend);
  if (!reversed)
    findings.add("weights may come in any order", "create() refuses them in the reverse one");
  else if (deterministic && *reversed != expected)
    findings.add("weights are found by name, whatever their order",
                 "other logits if they come in the reverse one");
  const size_t step = std::max<size_t>(1, subject.weights().size() / kTriedWeights);
  for (size_t i = 0; i < subject.weights().size() && findings.all().empty(); i += step) {
    const std::string name = escaped(subject.weights()[i].first, 80);
    reset();
    names.erase(names.begin() + static_cast<ptrdiff_t>(i));
    tensors.erase(tensors.begin() + static_cast<ptrdiff_t>(i));
    if (const auto without = answers(subject, rows, lend);
        !tensors.empty() && without && deterministic && *without != expected)
      findings.add(fmt::format("create() refuses weights without {}", name),
                   "it makes an expert that answers otherwise");
    reset();
    std::vector<int64_t> shape = subject.weights()[i].second->shape, strides(shape.size() + 1, 1);
    shape.push_back(1);
    std::ranges::copy(subject.weights()[i].second->strides, strides.begin());
    tensors[i].shape = shape.data();
    tensors[i].strides = strides.data();
    ++tensors[i].ndim;
    if (answers(subject, rows, lend))
      findings.add(fmt::format("create() refuses {} with a dimension more", name),
                   "it makes an expert");
  }
}

// --- hosts

// A host is the expert's for its life, and may be another for the next; what it lacks is NULL.
void check_host(Subject& subject, Findings& findings) {
  const moec_host usual = subject.host();
  // Texts that cannot be cut anywhere.
  const auto use = [&](TestExpert& expert) {
    std::vector<TestBatch::Row> rows = expert.rows(expert.at_most(4), 1);
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i].text.assign(i, 'a');
      while (rows[i].text.size() < 1000) rows[i].text += "\xE5\xBE\xAE";
    }
    expert.forward(expert.batch(rows, /*read_only=*/false));
  };
  {
    GuardedMemory gone("the host of an expert that was destroyed", sizeof(moec_host));
    moec_host* host = new (gone.data()) moec_host(usual);
    subject.use(host);
    {
      TestExpert first(subject);
      use(first);
    }
    subject.use(&usual);
    gone.take_back();
    TestExpert second(subject);
    use(second);
    if (const std::string misuse = misuse_of_test_host(); !misuse.empty())
      findings.add("the host's functions get the host and what abi.h says", misuse);
  }
  moec_host bare = usual;
  bare.get_extension = [](const moec_host*, const char*) -> const void* { return nullptr; };
  subject.use(&bare);
  moec_expert* expert = nullptr;
  moec_error error = empty_error();
  const moec_status status = subject.create(&expert, &error);
  if (status != MOEC_OK && message_of(error).empty())
    findings.add("create() works with a host that has no extension, or says what it lacks",
                 fmt::format("status {} without a message", status));
  if (expert != nullptr) subject.table().destroy(expert);
}

constexpr Check kCreationChecks[] = {
    {"create-destroy", 2, "it can be made and destroyed a hundred times",
     "keep everything in the object that create() makes; destroy() frees that and nothing else",
     &check_create_destroy},
    {"leaks", 2, "making, using and destroying it leaves no memory behind",
     "run the test under valgrind or -fsanitize=address", &check_leaks},
    {"create-refusals", 2, "create() refuses values that do not fit, and leaves *expert NULL",
     "check info before anything is made, and set *expert last", &check_create_refusals},
    {"weights", 2, "weights are taken by name, and only if they are whole",
     "look each one up by its name and compare its shape; refuse what is missing", &check_weights},
    {"host", 2, "any host will do, and another one for the next expert",
     "keep the host in the expert, not in a static variable; get_extension() may give NULL",
     &check_host},
};

}  // namespace

std::span<const Check> creation_checks() { return kCreationChecks; }

}  // namespace moecollab::conformance
