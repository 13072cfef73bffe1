// The verb ablate.
#include <memory>

#include "ablation/ablation_options.h"
#include "cli/verb.h"
#include "evaluation/ablation_report.h"

namespace moecollab::cli {

void add_ablate(Program& program) {
  auto options = std::make_shared<engine::AblateOptions>();
  CLI::App& verb =
      add_verb(program, program.app, "ablate",
               "Takes the collaboration apart: other fusions, gates, features and top-k, without "
               "each expert",
               "moecollab ablate --data-dir samples/data --registry build/demo/registry");
  verb.add_option("--only", options->groups,
                  fmt::format("Some of the ablations: {} (default: all)",
                              fmt::join(ablation::kGroups, ", ")))
      ->delimiter(',')
      ->type_name(fmt::format("{}", fmt::join(ablation::kGroups, "|")));
  verb.add_option("--out", options->out,
                  "Folder of steps.jsonl, ablation.json, .md and .html; finished steps found there "
                  "are not computed again (default: REGISTRY/ablation)")
      ->type_name("FOLDER");
  add_fusion(verb, options->fusion, "mixture|logit-union|masked|paper");
  refuse_auto(verb.add_option("--top-k", options->top_k,
                              "Experts run for a text; 0: all (default: the gate's)"));
  add_ranks(verb, program);
  learns_from_data(verb, program, options, [&program](const auto& o) {
    const Json result = open_engine().ablate(o, program.context());
    if (!program.leads()) return 0;
    print_result(program, result, terminal_text(evaluation::ablation_page(result)));
    program.context().log.note("wrote " + result["folder"].get<std::string>());
    return 0;
  });
}

}  // namespace moecollab::cli
