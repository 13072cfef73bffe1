// The verb validate.
#include "conformance/validate.h"

#include <fmt/format.h>

#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "cli/verb.h"
#include "registry/compatibility.h"

namespace moecollab::cli {
namespace {

int validate(const Program& program, const conformance::ValidateOptions& options,
             const std::optional<fs::path>& junit) {
  const conformance::Report report =
      conformance::validate(options, [](const registry::Manifest& manifest) {
        if (manifest.abi.libtorch.empty()) return;
        // Checks tell experts that a call may use one thread: libgomp, which reads this once, too.
        ::setenv("OMP_NUM_THREADS", "1", /*overwrite=*/1);
        // An expert written with LibTorch gets the engine's copy, which must be there first.
        registry::HostFacts host;
        host.libtorch = open_engine().facts({})["libtorch"].get<std::string>();
        if (const auto refusal = registry::check_libtorch(manifest.abi, host))
          throw Error(refusal->code, refusal->rule, refusal->hint);
      });
  if (junit) write_file_atomic(*junit, conformance::to_junit(report, options.package.string()));
  print_result(program, conformance::to_json(report, options),
               conformance::to_text(report, program.quiet));
  return report.passed() ? 0 : 5;
}

}  // namespace

void add_validate(Program& program) {
  struct Options : conformance::ValidateOptions {
    bool list = false;
    std::optional<fs::path> junit;
  };
  auto options = std::make_shared<Options>();
  CLI::App& verb = add_verb(program, program.app, "validate",
                            "Tries an expert's package against everything that the ABI promises",
                            "moecollab validate build/clauses.package --level 4");
  verb.add_option("package", options->package, "Package: its folder, or FILE.moec")
      ->type_name("PATH");
  verb.add_option("--level", options->level,
                  "Highest level: 1 load, 2 contract, 3 numerics, 4 training, 5 stress")
      ->type_name("1|2|3|4|5")
      ->capture_default_str();
  verb.add_option("--check", options->checks, "Only the check of that id; repeatable");
  verb.add_flag("--list", options->list,
                "Every check, what it promises and how a failure is fixed");
  verb.add_option("--encoder", options->encoder,
                  "Encoder folder whose sizes inputs have (default: that of the package, else a "
                  "small stand-in)")
      ->type_name("FOLDER")
      ->envname("MOECOLLAB_ENCODER");
  verb.add_flag("--confined", options->confined,
                "As `experts add` tries it: the library changes no file, reaches no network and "
                "starts no process, whatever it does");
  verb.add_option("--seed", options->seed, "Of the batches")->capture_default_str();
  verb.add_option("--deadline-ms", options->deadline_ms, "How long a check may take")
      ->capture_default_str();
  verb.add_option("--junit", options->junit, "JUnit XML into this file")->type_name("FILE");
  add_output(verb, program);
  verb.callback([&program, options] {
    program.action = [&program, options] {
      if (options->list) {
        print_result(program, conformance::checks_json(), conformance::checks_text());
        return 0;
      }
      if (options->package.empty())
        throw Error("E_CONFIG", "no package is named", "moecollab validate FOLDER");
      return validate(program, *options, options->junit);
    };
  });
}

}  // namespace moecollab::cli
