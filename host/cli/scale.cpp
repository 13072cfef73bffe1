// The verb scale.
#include <memory>

#include "cli/verb.h"
#include "evaluation/scale_report.h"

namespace moecollab::cli {

void add_scale(Program& program) {
  auto options = std::make_shared<engine::ScaleOptions>();
  CLI::App& verb = add_verb(
      program, program.app, "scale",
      "Makes pools of many experts out of some domains, and says what they are worth and cost",
      "moecollab scale --data-dir samples/data --experts 2,4 --domains 4 "
      "--registry build/demo/registry");
  verb.add_option("--experts", options->plan.experts, "How many experts the pools have")
      ->delimiter(',')
      ->default_str("4,8,16,32,64,128")
      ->type_name("N,N,…");
  verb.add_option("--useless", options->plan.useless,
                  "How many of them in a hundred learn from shuffled labels; 0 to 75")
      ->delimiter(',')
      ->default_str("0,25,50,75")
      ->type_name("N,N,…");
  add_count(verb, "--domains", options->plan.domains,
            "Pseudo-domains that the data are cut into, at most; further experts are trained with "
            "other seeds");
  add_count(verb, "--rounds", options->plan.rounds,
            "How often the pools are timed, in turns; the least time of each counts");
  verb.add_option("--kind", options->kind, "Kind of the experts, as train-expert takes it")
      ->default_str(options->kind)
      ->type_name("adapter|deep-adapter|lexical|PATH");
  verb.add_option(
          "--out", options->out,
          "Folder of pools.jsonl, scale.json, .md and .html, the experts and the pools; what is "
          "finished there is not computed again (default: REGISTRY/scale)")
      ->type_name("FOLDER");
  learns_from_data(verb, program, options, [&program](const auto& o) {
    const Json result = open_engine().scale(o, program.context());
    print_result(program, result, terminal_text(evaluation::scale_page(result)));
    program.context().log.note("wrote " + result["folder"].get<std::string>());
    return 0;
  });
}

}  // namespace moecollab::cli
