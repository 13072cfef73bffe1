// Level 1: the library loads, is what it says, and asks nothing odd of the loader.
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/measure.h"
#include "base/strings.h"
#include "conformance/check.h"
#include "conformance/subject.h"
#include "experts/elf_facts.h"

namespace moecollab::conformance {
namespace {

const std::vector<int> kGlibc = {2, 36};  // of Debian 12
constexpr double kScanSeconds = 0.1;

experts::ElfFacts facts_of(const Subject& subject) {
  experts::scan_library(subject.library_bytes(), subject.library_path());  // refuses what is no ELF
  return experts::read_elf(subject.library_bytes(), subject.library_path());
}

std::string version_text(const std::vector<int>& numbers) {
  std::vector<std::string> parts;
  for (const int number : numbers) parts.push_back(std::to_string(number));
  return join(parts, ".");
}

void check_package(Subject& subject, Findings& findings) {
  try {
    registry::check_files(subject.package());
  } catch (const Error& error) {
    findings.add("every file of the package is there as [files] says, and no other", error.what(),
                 error.hint());
  }
}

void check_exports(Subject& subject, Findings& findings) {
  const experts::ElfFacts facts = facts_of(subject);
  std::vector<std::string> others = facts.exports;
  std::erase(others, "moec_plugin_entry");
  if (others.size() == facts.exports.size())
    findings.add("moec_plugin_entry is exported", "it is not");
  if (!others.empty()) {
    const size_t shown = std::min<size_t>(others.size(), 8);
    findings.add(
        "moec_plugin_entry is the only symbol that others can bind to",
        fmt::format(
            "{} more: {}", others.size(),
            escaped(join({others.begin(), others.begin() + static_cast<ptrdiff_t>(shown)}, ", "),
                    400)));
  }
  if (!facts.unique.empty())
    findings.add("no symbol is unique in the process (STB_GNU_UNIQUE)",
                 escaped(join(facts.unique, ", "), 400));
}

void check_libraries(Subject& subject, Findings& findings) {
  const bool torch = subject.uses_torch();
  const auto known = [](const auto& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  for (const std::string& name : facts_of(subject).needed) {
    if (known(experts::kRuntimeLibraries, name) || (torch && known(experts::kTorchLibraries, name)))
      continue;
    findings.add(torch ? "it needs the C and C++ runtimes and LibTorch only"
                       : "it needs the C and C++ runtimes only",
                 fmt::format("it needs {}", escaped(name, 120)));
  }
}

void check_elf_flags(Subject& subject, Findings& findings) {
  const experts::ElfFacts facts = facts_of(subject);
  if (facts.executable_stack) findings.add("its stack is not executable", "PT_GNU_STACK says RWE");
  if (!facts.run_path.empty())
    findings.add("it has no RPATH or RUNPATH", escaped(facts.run_path, 200));
  if (facts.text_relocations)
    findings.add("its code needs no relocation (DT_TEXTREL)",
                 "it does: it was not built with -fPIC");
}

void check_glibc(Subject& subject, Findings& findings) {
  const experts::ElfFacts facts = facts_of(subject);
  const std::vector<int> glibc = experts::greatest_version(facts.versions, "GLIBC_"),
                         glibcxx = experts::greatest_version(facts.versions, "GLIBCXX_");
  findings.note(
      fmt::format("needs glibc {}{}", glibc.empty() ? "of any version" : version_text(glibc),
                  glibcxx.empty() ? "" : ", libstdc++ with GLIBCXX_" + version_text(glibcxx)));
  if (glibc > kGlibc)
    findings.add(fmt::format("it runs with glibc {}", version_text(kGlibc)),
                 fmt::format("it needs {}", version_text(glibc)));
}

void check_loads(Subject& subject, Findings& findings) {
  const experts::ElfFacts facts = facts_of(subject);
  try {
    subject.library();
  } catch (const Error& error) {
    // It was loaded; `identity` and `entry` say what is wrong with it.
    if (error.code() == "E_DESC_MISMATCH" || error.code() == "E_ABI") return;
    throw;
  }
  // A symbol that only this process happens to have would be missing in another host.
  for (const std::string& symbol : facts.undefined) {
    const bool found = std::any_of(facts.needed.begin(), facts.needed.end(), [&](const auto& name) {
      void* handle = ::dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD);
      return handle != nullptr && ::dlsym(handle, symbol.c_str()) != nullptr;
    });
    if (!found)
      findings.add(
          "every symbol comes from a library that it needs",
          fmt::format("{} comes from none of {}", escaped(symbol, 200), join(facts.needed, ", ")));
  }
}

void check_identity(Subject& subject, Findings& findings) {
  const experts::Library& library = subject.library();  // compares note and describe()
  const registry::Manifest& m = subject.manifest();
  const auto same = [&](const char* what, const std::string& manifest, const std::string& code) {
    if (manifest != code)
      findings.add(fmt::format("{} is {}, as in expert.toml", what, escaped(manifest, 120)),
                   fmt::format("the library says {}", escaped(code, 120)));
  };
  same("library.id", m.library.id, library.note().id);
  same("library.version", m.library.version.text(), library.note().version);
  const moec_library_info& info = library.info();
  if (!MOEC_HAS(&info, moec_library_info, labels) || info.classes == 0) return;
  if (m.is_kind()) {
    findings.add("a library with fixed labels comes with a [task] that repeats them",
                 "[task] is empty");
    return;
  }
  same("the number of labels", std::to_string(m.task.labels.size()), std::to_string(info.classes));
  for (int32_t i = 0; info.labels != nullptr && i < info.classes; ++i) {
    if (static_cast<size_t>(i) < m.task.labels.size())
      same(fmt::format("label {}", i + 1).c_str(), m.task.labels[static_cast<size_t>(i)],
           experts::to_string(info.labels[i]));
  }
}

void check_entry(Subject& subject, Findings& findings) {
  const moec_library& table = subject.table();  // refuses one that is not whole
  if (subject.library().entry()() != &table)
    findings.add("moec_plugin_entry() gives the same table each time", "the second one is another");
}

void check_scan_time(Subject& subject, Findings& findings) {
  const Stopwatch watch;
  facts_of(subject);
  const double scan = watch.seconds();
  subject.library();
  const double all = watch.seconds();
  findings.note(
      fmt::format("scanned in {:.1f} ms, loaded in {:.1f} ms", scan * 1e3, (all - scan) * 1e3));
  if (scan > kScanSeconds)
    findings.add(fmt::format("it is scanned within {:.0f} ms", kScanSeconds * 1e3),
                 fmt::format("{:.0f} ms", scan * 1e3));
}

constexpr Check kLoadChecks[] = {
    {"package", 1, "the folder holds what expert.toml vouches for",
     "build the package again with moecollab_add_expert(); it writes [files]", &check_package},
    {"exports", 1, "one symbol is exported: moec_plugin_entry",
     "build with moecollab_add_expert(), which hides everything else (-fvisibility=hidden and a "
     "version script); unique symbols come from inline variables of C++: -fno-gnu-unique",
     &check_exports},
    {"libraries", 1, "it needs no library that a host may lack",
     "link other libraries statically, or ship no dependency", &check_libraries},
    {"elf-flags", 1, "no executable stack, RPATH or text relocation",
     "remove -Wl,-rpath and -z execstack; compile assembly with -Wa,--noexecstack and all with "
     "-fPIC",
     &check_elf_flags},
    {"glibc", 1, "it runs on the oldest system that the host supports",
     "build on Debian 12 or older", &check_glibc},
    {"loads", 1, "it loads, and every symbol is found",
     "do nothing in constructors of static objects; link every library that is used (-Wl,-z,defs "
     "finds what is missing)",
     &check_loads},
    {"identity", 1, "note, describe() and expert.toml agree",
     "write id and version once, in MOECOLLAB_LIBRARY() or the macro of a C header, and the same "
     "in [library]",
     &check_identity},
    {"entry", 1, "moec_plugin_entry() gives one whole table",
     "return the address of a static const moec_library", &check_entry},
    {"scan-time", 1, "it is scanned in 100 ms", "make the file smaller", &check_scan_time},
};

}  // namespace

std::span<const Check> load_checks() { return kLoadChecks; }

}  // namespace moecollab::conformance
