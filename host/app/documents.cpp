// moecollab_documents FOLDER: writes completions, manual pages and the page of commands below
// FOLDER. A tool of the build, which is not installed.
#include "cli/documents.h"

#include <cstdio>

#include "base/error.h"
#include "base/files.h"

int main(int argc, char** argv) {
  using namespace moecollab;
  if (argc != 2) {
    std::fputs("usage: moecollab_documents FOLDER\n", stderr);
    return 2;
  }
  try {
    for (const auto& [name, text] : cli::documents(cli::program_command())) {
      const fs::path file = fs::path(argv[1]) / name;
      make_folder(file.parent_path());
      write_file_atomic(file, text);
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
