// A host of any release, on the real scanner and loader: loads LIBRARY, asks it about one text and
// prints "loaded LOGIT LOGIT EXTENSION", or "refused CODE: text".
#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "base/files.h"
#include "experts/library.h"
#if MOEC_ABI_MAJOR > 0 && MOEC_ABI_MINOR > 0
#include <moecollab/ext/future.h>
#endif

namespace {

using moecollab::experts::Library;

void require(moec_status status, const char* call) {
  if (status != MOEC_OK) throw moecollab::Error("E_TEST", call);
}

void visit(const Library& library) {
  moec_host host{};
  host.struct_size = sizeof host;
  host.abi_major = MOEC_ABI_MAJOR;
  host.abi_minor = MOEC_ABI_MINOR;
  host.get_extension = [](const moec_host*, const char*) -> const void* { return nullptr; };
  host.log = [](const moec_host*, int32_t, moec_string) {};
  host.progress = [](const moec_host*, int64_t, int64_t) {};
  host.should_stop = [](const moec_host*) -> int32_t { return 0; };
  moec_error error{};
  error.struct_size = sizeof error;
  moec_create_info info{};
  info.struct_size = sizeof info;
  info.classes = library.info().classes;
  info.inputs = MOEC_INPUT_TEXT;
  moec_expert* expert = nullptr;
  require(library.table().create(&host, &info, &expert, &error), "create");
  moec_requirements needs{};
  needs.struct_size = sizeof needs;
  require(library.table().requirements(expert, &needs, &error), "requirements");

  const char* words = "stocks fell as the election neared";
  const moec_string text = {words, std::strlen(words)};
  const int64_t row_id = 7;
  moec_batch batch{};
  batch.struct_size = sizeof batch;
  batch.rows = 1;
  batch.row_ids = &row_id;
  batch.texts = &text;
#ifdef MOEC_EXT_FUTURE
  const double weight = 1;
  batch.row_weights = &weight;
#endif
  moec_exec exec{};
  exec.struct_size = sizeof exec;
  exec.device_type = MOEC_CPU;
  exec.threads = 1;
  alignas(64) float logits[64] = {};
  const int64_t shape[2] = {1, needs.classes}, strides[2] = {needs.classes, 1};
  const moec_tensor out = {logits, MOEC_CPU, 0, 2, MOEC_FLOAT, 32, 1, shape, strides, 0};
  require(library.table().forward(expert, &exec, &batch, &out, &error), "forward");
  int extension = 0;
#ifdef MOEC_EXT_FUTURE
  if (const auto* future = library.extension<moec_future>(MOEC_EXT_FUTURE))
    extension = future->answer();
#endif
  library.table().destroy(expert);
  std::printf("loaded %g %g %d\n", logits[0], logits[1], extension);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    visit(Library::load(moecollab::read_file(argv[1], "E_TEST"), argv[1], "libvisitor.so", true));
  } catch (const moecollab::Error& e) {
    std::printf("refused %s: %s\n", std::string(e.code()).c_str(), e.what());
  }
}
