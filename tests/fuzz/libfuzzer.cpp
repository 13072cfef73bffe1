// libFuzzer's entry; tools/fuzz.sh runs it. MOECOLLAB_PARSER names the parser; MOECOLLAB_SEED_FILE,
// if set, is where its seed is written instead.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "base/files.h"
#include "fuzz/parsers.h"

namespace {

const moecollab::fuzz::Parser* chosen = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* wanted = std::getenv("MOECOLLAB_PARSER");
  for (const auto& parser : moecollab::fuzz::parsers()) {
    if (wanted == nullptr) std::puts(parser.name);
    if (wanted != nullptr && std::string_view(wanted) == parser.name) chosen = &parser;
  }
  if (wanted == nullptr) std::exit(0);
  if (chosen == nullptr) {
    std::fprintf(stderr, "there is no parser %s\n", wanted);
    std::exit(2);
  }
  if (const char* file = std::getenv("MOECOLLAB_SEED_FILE"); file != nullptr)
    moecollab::write_file_atomic(file, chosen->seed());
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  moecollab::fuzz::try_parser(*chosen, {reinterpret_cast<const char*>(data), size});
  return 0;
}
