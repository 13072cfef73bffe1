// Level 2: the calls keep the contract of abi.h, also if a host does the unusual.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <memory>

#include "base/strings.h"
#include "conformance/check.h"
#include "conformance/subject.h"
#include "conformance/surroundings.h"

namespace moecollab::conformance {
namespace {

constexpr int kRounds = 100;
constexpr int64_t kLeak = 128;  // bytes per round that are no leak
// LibTorch frees in one thread what another one allocated, and keeps some of it.
constexpr int64_t kTorchLeak = 1024;
constexpr int kLeastRounds = 8;
constexpr std::chrono::milliseconds kWarmUp(1000);
constexpr size_t kLargestBatch = 512;  // rows, for experts that allow any number

void check_extensions(Subject& subject, Findings& findings) {
  for (const char* id :
       {"moecollab.nothing/1", "moecollab.train/2", "", "com.example.unheard-of/9"}) {
    if (subject.table().get_extension(id) != nullptr)
      findings.add(fmt::format("get_extension(\"{}\") gives NULL", id), "it gives a pointer");
  }
}

void check_create_destroy(Subject& subject, Findings&) {
  for (int i = 0; i < kRounds; ++i) TestExpert(subject, 1, /*ready=*/false);
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
  const int64_t before = heap_in_use();
  for (int i = 0; i < rounds; ++i) round();
  const int64_t grown = heap_in_use() - before;
  const bool torch = !subject.manifest().abi.libtorch.empty();
  if (grown > (torch ? kTorchLeak : kLeak) * rounds)
    findings.add("making, using and destroying experts leaves nothing behind",
                 fmt::format("{} bytes more after {} rounds", grown, rounds));
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
  expect_refused(subject, findings, "a class count of 0",
                 [](moec_create_info& info) { info.classes = 0; });
}

void check_struct_sizes(Subject& subject, Findings& findings) {
  TestExpert expert(subject, 1, /*ready=*/false);
  constexpr unsigned char kPattern = 0x5C;
  alignas(16) unsigned char space[sizeof(moec_requirements) + 64];
  const auto ask = [&](uint32_t size, const char* who) {
    std::memset(space, kPattern, sizeof space);
    auto* out = reinterpret_cast<moec_requirements*>(space);
    std::memset(space, 0, size);
    out->struct_size = size;
    moec_error error = empty_error();
    const moec_status status = subject.table().requirements(expert.get(), out, &error);
    if (status != MOEC_OK) {
      findings.add(fmt::format("requirements() serves a host {}", who),
                   CallFailed("requirements", status, error).what());
      return;
    }
    for (size_t i = size; i < sizeof space; ++i) {
      if (space[i] == kPattern) continue;
      findings.add(fmt::format("requirements() writes no more than struct_size says ({} bytes, {})",
                               size, who),
                   fmt::format("byte {} was written", i));
      return;
    }
    for (size_t i = sizeof(moec_requirements); i < size; ++i) {
      if (space[i] == 0) continue;
      findings.add("members that the library does not know stay 0",
                   fmt::format("byte {} is {}", i, space[i]));
      return;
    }
    if (out->classes != subject.classes())
      findings.add(fmt::format("classes is {} for a host {}", subject.classes(), who),
                   std::to_string(out->classes));
  };
  ask(offsetof(moec_requirements, flops_per_row), "of an older version");
  ask(sizeof(moec_requirements), "of this version");
  ask(sizeof(moec_requirements) + 32, "of a later version");
}

void check_requirements(Subject& subject, Findings& findings) {
  TestExpert expert(subject);
  const auto compare = [&](const moec_requirements& r, const char* when) {
    const auto same = [&](const char* what, int64_t manifest, int64_t library) {
      if (manifest != library)
        findings.add(fmt::format("{} is {} {}, as in expert.toml", what, manifest, when),
                     fmt::format("requirements() says {}", library));
    };
    same("classes", subject.classes(), r.classes);
    same("inputs", subject.inputs(), r.inputs);
    same("max_batch", subject.manifest().input.max_batch, r.max_batch);
    same("layout", MOEC_LAYOUT_RAGGED, r.layout);
    if (!subject.manifest().is_kind() && (subject.inputs() & ~uint32_t{MOEC_INPUT_TEXT}) != 0) {
      const auto layers = subject.manifest().input.resolve_layers(subject.encoder().config.layers);
      same("the number of layers", static_cast<int64_t>(layers.size()),
           static_cast<int64_t>(r.layer_count));
    }
  };
  compare(expert.requirements(), "at first");
  expert.forward(expert.batch(expert.rows(expert.at_most(4), 1), /*read_only=*/false));
  moec_requirements later{};
  later.struct_size = sizeof later;
  moec_error error = empty_error();
  if (subject.table().requirements(expert.get(), &later, &error) == MOEC_OK)
    compare(later, "after forward()");
}

void check_null_arguments(Subject& subject, Findings& findings) {
  subject.table().destroy(nullptr);
  TestExpert expert(subject);
  if (subject.train() != nullptr) subject.train()->release_saved(expert.get(), nullptr);
  const moec_exec exec = subject.exec();
  moec_error error = empty_error();
  GuardedTensor logits("logits", {1, subject.classes()});
  if (subject.table().forward(expert.get(), &exec, nullptr, &logits.view, &error) == MOEC_OK)
    findings.add("forward() refuses batch = NULL", "it gave status 0");
}

void check_batch_sizes(Subject& subject, Findings&) {
  TestExpert expert(subject);
  for (const size_t n : {size_t{1}, expert.at_most(kLargestBatch), size_t{1}})
    expert.forward(expert.batch(expert.rows(n, n), /*read_only=*/false));
}

// What calls were lent faults or holds rubbish when they are over: an expert that kept a pointer
// to it is found when it looks again.
void check_borrowed(Subject& subject, Findings& findings) {
  TestExpert usual(subject), control(subject);
  subject.lend_briefly(true);
  TestExpert expert(subject);
  std::vector<std::unique_ptr<TestBatch>> over;  // nothing else gets their place
  const auto lend = [&](TestExpert& to, const std::vector<TestBatch::Row>& rows) {
    TestBatch& batch = *over.emplace_back(std::make_unique<TestBatch>(to.batch(rows)));
    const std::vector<float> logits = to.forward(batch);
    batch.take_back();
    return logits;
  };
  for (const uint64_t seed : {1, 2, 3}) {
    const auto rows = expert.rows(expert.at_most(6), seed);
    const std::vector<float> logits = lend(expert, rows), expected = lend(usual, rows);
    if (lend(control, rows) != expected) return;  // level 3 asks why two objects differ
    if (logits == expected) continue;
    findings.add("what a call is lent may change and go when the call is over",
                 "the logits are others then");
    return;
  }
}

void check_errors(Subject& subject, Findings& findings) {
  moec_expert* expert = nullptr;
  moec_error error = empty_error();
  const moec_status status =
      subject.create(&expert, &error, [](moec_create_info& info) { info.classes = 0; });
  if (status != MOEC_OK && message_of(error).empty())
    findings.add("a refusal fills error->message", "create() with 0 classes left it empty");
  TestExpert made(subject, 1, /*ready=*/false);
  moec_requirements out{};
  out.struct_size = sizeof out;
  error = empty_error();
  if (subject.table().requirements(made.get(), &out, &error) == MOEC_OK &&
      (error.code != MOEC_OK || !message_of(error).empty()))
    findings.add("error is filled only if a status is not 0",
                 fmt::format("requirements() gave 0 and code {}: {}", error.code,
                             escaped(message_of(error), 200)));
  // A caller that wants no text.
  expert = nullptr;
  subject.create(&expert, nullptr, [](moec_create_info& info) { info.classes = 0; });
  if (expert != nullptr) subject.table().destroy(expert);
}

void check_surroundings(Subject& subject, Findings& findings) {
  const bool torch = !subject.manifest().abi.libtorch.empty();  // its products have a pool
  // Standard output goes into a file that can be looked at.
  char path[] = "/tmp/moecollab-stdout.XXXXXX";
  const int file = ::mkstemp(path);
  ::unlink(path);
  ::dup2(file, STDOUT_FILENO);
  begin_sequence();
  const Surroundings before = Surroundings::now();
  subject.library();
  compare(before, Surroundings::now(), "loading", torch, findings);
  const auto use = [&] {
    TestExpert expert(subject);
    compare(before, Surroundings::now(), "create()", torch, findings);
    expert.forward(expert.batch(expert.rows(expert.at_most(8), 1), /*read_only=*/false));
    compare(before, Surroundings::now(), "forward()", torch, findings);
  };
  use();
  const Surroundings once = Surroundings::now();
  compare(before, once, "destroy()", torch, findings);
  use();  // what the first one opened for all may stay open
  if (const std::string opened = opened_since(once, Surroundings::now()); !opened.empty())
    findings.add("destroy() closes what its expert opened", "descriptors are open now: " + opened);
  if (::waitpid(-1, nullptr, WNOHANG) >= 0) findings.add("no process is started", "one was");
  std::fflush(nullptr);
  struct stat written {};
  ::fstat(file, &written);
  if (written.st_size > 0)
    findings.add("nothing is printed to standard output",
                 fmt::format("{} bytes were", written.st_size));
}

constexpr Check kContractChecks[] = {
    {"extensions", 2, "an extension that it does not have is NULL",
     "compare the id as a whole, and return NULL for every other", &check_extensions},
    {"create-destroy", 2, "it can be made and destroyed a hundred times",
     "keep everything in the object that create() makes; destroy() frees that and nothing else",
     &check_create_destroy},
    {"leaks", 2, "making, using and destroying it leaves no memory behind",
     "run the test under valgrind or -fsanitize=address", &check_leaks},
    {"create-refusals", 2, "create() refuses values that do not fit, and leaves *expert NULL",
     "check info before anything is made, and set *expert last", &check_create_refusals},
    {"struct-sizes", 2, "hosts of an older and a later version are served",
     "write at most struct_size bytes; read a member only if MOEC_HAS() says that it is there",
     &check_struct_sizes},
    {"requirements", 2, "requirements() says what expert.toml says, always",
     "derive both from the same values; never change them after create()", &check_requirements},
    {"null-arguments", 2, "NULL is fine if abi.h allows it, elsewhere an error",
     "check pointers first", &check_null_arguments},
    {"batch-sizes", 2, "one row and the largest batch are served",
     "size buffers by batch->rows of each call", &check_batch_sizes},
    {"borrowed", 2, "nothing that a call was lent is looked at when the call is over",
     "copy what must be kept: info, config, names, weights and batches are lent for one call",
     &check_borrowed},
    {"errors", 2, "a refusal says why", "fill error->message; error may be NULL", &check_errors},
    {"surroundings", 2, "it changes nothing but its own memory",
     "no setlocale, chdir, signal, setenv, printf, fork, random(), limits, priorities or threads "
     "of its own; close what was opened",
     &check_surroundings},
};

}  // namespace

std::span<const Check> contract_checks() { return kContractChecks; }

}  // namespace moecollab::conformance
