// The verb sweep.
#include <memory>

#include "cli/verb.h"
#include "evaluation/sweep_report.h"

namespace moecollab::cli {

void add_sweep(Program& program) {
  auto options = std::make_shared<engine::SweepOptions>();
  CLI::App& verb =
      add_verb(program, program.app, "sweep",
               "Fits a gate for each pair of lambda1 and lambda2, and says what each came to",
               "moecollab sweep --data-dir samples/data --lambda1 0 0.01 0.1 --lambda2 0 0.01 0.1 "
               "--registry build/demo/registry");
  verb.add_option("--lambda1", options->lambdas1,
                  "Weights of the entropy term (default: 0, 0.001, 0.01, 0.02 … 0.1)")
      ->delimiter(',');
  verb.add_option("--lambda2", options->lambdas2, "Weights of the balance term (default: the same)")
      ->delimiter(',');
  verb.add_option("--out", options->out,
                  "Folder of points.jsonl, sweep.json, sweep.csv and sweep.html; finished points "
                  "found there are not fitted again (default: REGISTRY/sweep)")
      ->type_name("FOLDER");
  refuse_auto(verb.add_option("--top-k", options->gate.top_k, "Experts run for a text; 0: all")
                  ->capture_default_str());
  add_gate_fit(verb, options->gate);
  add_ranks(verb, program);
  learns_from_data(verb, program, options, [&program](const auto& o) {
    const Json result = open_engine().sweep(o, program.context());
    if (!program.leads()) return 0;
    print_result(program, result, evaluation::sweep_text(result));
    program.context().log.note("wrote " + result["folder"].get<std::string>());
    return 0;
  });
}

}  // namespace moecollab::cli
