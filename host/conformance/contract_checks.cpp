// Level 2: the calls keep the contract of abi.h, also if a host does the unusual.
#include <fmt/format.h>
#include <moecollab/ext/draft/explain.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "base/strings.h"
#include "conformance/check.h"
#include "conformance/test_expert.h"

namespace moecollab::conformance {
namespace {

constexpr size_t kLargestBatch = 512;  // rows, for experts that allow any number

// An extension's table: a size, then functions only.
bool is_whole(const void* table, size_t size) {
  uint32_t stated;
  std::memcpy(&stated, table, sizeof stated);
  if (stated < size) return false;
  for (size_t at = sizeof(void*); at < size; at += sizeof(void*)) {
    const void* function;
    std::memcpy(&function, static_cast<const char*>(table) + at, sizeof function);
    if (function == nullptr) return false;
  }
  return true;
}

void check_extensions(Subject& subject, Findings& findings) {
  const moec_library& table = subject.table();
  for (const char* id :
       {"moecollab.nothing/1", "moecollab.train/2", "", "com.example.unheard-of/9"}) {
    if (table.get_extension(id) != nullptr)
      findings.add(fmt::format("get_extension(\"{}\") gives NULL", id), "it gives a pointer");
  }
  const std::pair<const char*, size_t> known[] = {
      {MOEC_EXT_PARAMS, sizeof(moec_ext_params)},
      {MOEC_EXT_TRAIN, sizeof(moec_ext_train)},
      {MOEC_EXT_FIT, sizeof(moec_ext_fit)},
      {MOEC_EXT_STATE, sizeof(moec_ext_state)},
      {MOEC_EXT_BOTTLENECK, sizeof(moec_ext_bottleneck)},
      {MOEC_EXT_EXPLAIN, sizeof(moec_ext_explain)}};
  for (const auto& [id, size] : known) {
    const void* extension = table.get_extension(id);
    if (extension == nullptr) continue;
    if (!is_whole(extension, size))
      findings.add(fmt::format("the table of {} has all its members", id),
                   "struct_size is too small, or a function is NULL");
    const std::string text = id;
    for (const std::string& near :
         {text + "0", text.substr(0, text.size() - 1), text.substr(0, text.size() - 2),
          text.substr(0, text.size() - 1) + "2", text.substr(0, text.size() - 2) + "s/1",
          "x" + text, text + " "}) {
      if (table.get_extension(near.c_str()) != nullptr)
        findings.add(fmt::format("get_extension(\"{}\") gives NULL", near),
                     fmt::format("it gives a pointer, as for {}", id));
    }
    if (table.get_extension(text.c_str()) != extension)
      findings.add(fmt::format("{} is the same table each time", id), "another one came");
  }
}

// A struct as a later host has it, with members after the known ones.
template <typename T>
class Grown {
 public:
  explicit Grown(const T& known) {
    std::memset(bytes_, 0x5C, sizeof bytes_);
    std::memcpy(bytes_, &known, sizeof known);
    (*this)->struct_size = sizeof bytes_;
  }
  T* operator->() { return reinterpret_cast<T*>(bytes_); }
  T* get() { return reinterpret_cast<T*>(bytes_); }

 private:
  alignas(16) unsigned char bytes_[sizeof(T) + 64];
};

void serve_later_host(Subject& subject, Findings& findings) {
  Grown<moec_host> host(subject.host());
  Grown<moec_error> error(empty_error());
  moec_expert* made = nullptr;
  moec_status status = MOEC_OK;
  subject.with_info([&](const moec_create_info& known) {
    Grown<moec_create_info> info(known);
    Grown<moec_encoder_info> encoder(known.encoder == nullptr ? moec_encoder_info{}
                                                              : *known.encoder);
    if (known.encoder != nullptr) info->encoder = encoder.get();
    status = subject.table().create(host.get(), info.get(), &made, error.get());
  });
  if (status != MOEC_OK)
    findings.add("create() takes structs of a later host, which are longer",
                 CallFailed("create", status, *error.get()).what());
  subject.table().destroy(made);
  TestExpert expert(subject);
  const TestBatch batch = expert.batch(expert.rows(expert.at_most(5), 1), /*read_only=*/false);
  Grown<moec_batch> longer(batch.view());
  Grown<moec_exec> exec(subject.exec());
  GuardedTensor logits("logits", {batch.view().rows, subject.classes()});
  status =
      subject.table().forward(expert.get(), exec.get(), longer.get(), &logits.view, error.get());
  if (status != MOEC_OK)
    findings.add("forward() takes structs of a later host, which are longer",
                 CallFailed("forward", status, *error.get()).what());
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
    if (out->struct_size != size)
      findings.add("requirements() leaves struct_size as the host set it",
                   fmt::format("{} became {}", size, out->struct_size));
  };
  ask(offsetof(moec_requirements, flops_per_row), "of an older version");
  ask(sizeof(moec_requirements), "of this version");
  ask(sizeof(moec_requirements) + 32, "of a later version");
  serve_later_host(subject, findings);
}

std::string text_of(const int32_t* layers, uint64_t count) {
  std::vector<std::string> parts;
  for (uint64_t i = 0; i < count; ++i) parts.push_back(std::to_string(layers[i]));
  return "[" + join(parts, ", ") + "]";
}

// An expert of other layers and classes, if the library makes one.
void make_another(Subject& subject) {
  std::vector<int32_t> layers = subject.layers();
  for (int32_t& layer : layers)
    layer = (layer + 1) % static_cast<int32_t>(subject.encoder().config.layers + 1);
  for (const int32_t more_classes : {0, 1}) {
    moec_expert* other = nullptr;
    moec_error error = empty_error();
    subject.create(&other, &error, [&](moec_create_info& info) {
      info.classes += more_classes;
      info.layers = layers.data();
    });
    moec_requirements ignored{};
    ignored.struct_size = sizeof ignored;
    if (other != nullptr) subject.table().requirements(other, &ignored, &error);
    subject.table().destroy(other);
  }
}

void check_requirements(Subject& subject, Findings& findings) {
  TestExpert expert(subject), other(subject);
  const registry::InputTable& input = subject.manifest().input;
  const auto compare = [&](const moec_requirements& r, const std::string& when) {
    const auto same = [&](const char* what, const auto& manifest, const auto& library) {
      if (manifest != library)
        findings.add(fmt::format("{} is {} {}, as in expert.toml", what, manifest, when),
                     fmt::format("requirements() says {}", library));
    };
    same("classes", subject.classes(), r.classes);
    same("inputs", subject.inputs(), r.inputs);
    same("max_batch", input.max_batch, r.max_batch);
    same("layout", int32_t{MOEC_LAYOUT_RAGGED}, r.layout);
    const int32_t pooling = input.pooling == "cls" ? MOEC_POOLING_CLS : MOEC_POOLING_MEAN;
    same("pooling",
         (subject.inputs() & MOEC_INPUT_POOLED) == 0 ? int32_t{MOEC_POOLING_NONE} : pooling,
         r.pooling);
    if (!subject.manifest().is_kind())
      same("layers", text_of(subject.layers().data(), subject.layers().size()),
           text_of(r.layers, r.layer_count));
    if (std::min({r.flops_per_row, r.flops_per_token, r.flops_per_pair}) < 0)
      findings.add("no cost is negative",
                   fmt::format("requirements() says {}, {} and {} per row, token and pair",
                               r.flops_per_row, r.flops_per_token, r.flops_per_pair));
  };
  const moec_requirements& first = expert.requirements();
  compare(first, "at first");
  const std::string layers = text_of(first.layers, first.layer_count);
  expert.forward(expert.batch(expert.rows(expert.at_most(4), 1), /*read_only=*/false));
  make_another(subject);
  if (text_of(first.layers, first.layer_count) != layers)
    findings.add("layers lives as long as the expert",
                 "it holds other numbers after forward(), or when others were made");
  for (TestExpert* of : {&expert, &other}) {
    moec_requirements later{};
    later.struct_size = sizeof later;
    moec_error error = empty_error();
    const moec_status status = subject.table().requirements(of->get(), &later, &error);
    if (status != MOEC_OK) throw CallFailed("requirements", status, error);
    compare(later, of == &expert ? "after forward()" : "for a second expert");
    const auto costs = [](const moec_requirements& r) {
      return std::array{r.flops_per_row, r.flops_per_token, r.flops_per_pair};
    };
    if (costs(later) != costs(first))
      findings.add("requirements() always says the same", "the costs are others the second time");
  }
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
    TestBatch& batch =
        *over.emplace_back(std::make_unique<TestBatch>(to.batch(rows, /*read_only=*/false)));
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

// What the caller's error holds from an earlier call.
constexpr moec_status kOlderCode = 77;
constexpr const char* kOlderMessage = "of an earlier call";

// How an error may look after a call of that status.
void judge_error(const char* call, moec_status status, const moec_error& error,
                 const std::string& outside, Findings& findings) {
  if (status < MOEC_OK || status > MOEC_INTERNAL)
    findings.add(fmt::format("{} gives a status of abi.h", call), std::to_string(status));
  if (error.struct_size != sizeof error || !outside.empty())
    findings.add(fmt::format("{} writes code and message of the error only", call),
                 outside.empty() ? fmt::format("struct_size became {}", error.struct_size)
                                 : "it wrote " + outside);
  if (status == MOEC_OK) {
    if (error.code != kOlderCode || message_of(error) != kOlderMessage)
      findings.add("error is written only if a status is not 0",
                   fmt::format("{} gave 0 and wrote code {}: {}", call, error.code,
                               escaped(message_of(error), 200)));
    return;
  }
  if (message_of(error).empty() || message_of(error) == kOlderMessage)
    findings.add(
        "a refusal fills error->message",
        fmt::format("{} left it {}", call, message_of(error).empty() ? "empty" : "as it was"));
  if (error.code != status)
    findings.add(fmt::format("error->code is the status that {} gives ({})", call, status),
                 std::to_string(error.code));
}

void check_errors(Subject& subject, Findings& findings) {
  const moec_library& table = subject.table();
  const auto judge = [&](const char* call, const auto& run) {
    GuardedMemory memory("the error", sizeof(moec_error));
    auto* error = new (memory.data()) moec_error(empty_error());
    error->code = kOlderCode;
    std::strcpy(error->message, kOlderMessage);
    const moec_status status = run(error);
    judge_error(call, status, *error, memory.outside(), findings);
    run(nullptr);  // a caller that wants no text
  };
  const auto zero_classes = [](moec_create_info& info) { info.classes = 0; };
  moec_expert* none = nullptr;
  judge("create() with 0 classes",
        [&](moec_error* error) { return subject.create(&none, error, zero_classes); });
  judge("create() without info",
        [&](moec_error* error) { return table.create(&subject.host(), nullptr, &none, error); });
  judge("create()", [&](moec_error* error) {
    moec_expert* made = nullptr;
    const moec_status status = subject.create(&made, error);
    table.destroy(made);
    return status;
  });
  TestExpert expert(subject);
  const TestBatch batch = expert.batch(expert.rows(expert.at_most(3), 1), /*read_only=*/false);
  GuardedTensor logits("logits", {batch.view().rows, subject.classes()});
  const moec_exec exec = subject.exec();
  judge("requirements()", [&](moec_error* error) {
    moec_requirements out{};
    out.struct_size = sizeof out;
    return table.requirements(expert.get(), &out, error);
  });
  judge("forward()", [&](moec_error* error) {
    return table.forward(expert.get(), &exec, &batch.view(), &logits.view, error);
  });
  judge("forward() without a batch", [&](moec_error* error) {
    return table.forward(expert.get(), &exec, nullptr, &logits.view, error);
  });
}

constexpr Check kContractChecks[] = {
    {"extensions", 2, "an extension that it does not have is NULL",
     "compare the id as a whole, and return NULL for every other", &check_extensions},
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
    {"errors", 2, "a refusal says why, and a success says nothing",
     "fill error->code and error->message with every status but MOEC_OK; error may be NULL",
     &check_errors},
};

}  // namespace

std::span<const Check> contract_checks() { return kContractChecks; }

}  // namespace moecollab::conformance
