// The verb eval.
#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "cli/report_outputs.h"
#include "cli/require.h"
#include "cli/verb.h"

namespace moecollab::cli {
namespace {

struct Outputs : ReportOutputs {
  std::vector<std::string> requirements;
};

int run_eval(Program& program, engine::EvalOptions& options, const Outputs& outputs) {
  std::vector<Requirement> requirements;
  for (const std::string& expression : outputs.requirements)
    requirements.push_back(Requirement::parse(expression));
  if (program.leads()) outputs.require_writable_now();
  options.command = program.command;
  const Json report = open_engine().eval(options, program.context());
  if (!program.leads()) return 0;
  print_result(program, report, report_text(report));
  if (report.contains("precision"))
    program.context().log.note(
        fmt::format("wrote {}", report["precision"]["file"].get<std::string>()));
  outputs.write(report, evaluation::report_sections(), program.context().log);
  for (const Requirement& requirement : requirements) requirement.check(report);
  return 0;
}

}  // namespace

void add_eval(Program& program) {
  auto options = std::make_shared<engine::EvalOptions>();
  auto outputs = std::make_shared<Outputs>();
  CLI::App& verb =
      add_verb(program, program.app, "eval",
               "Evaluates the installed experts, gate and fusion, and prints the comparison table",
               "moecollab eval --data-dir samples/data --report report.json --html report.html "
               "--registry build/demo/registry");
  add_fusion(verb, options->fusion, "mixture|logit-union|masked|paper");
  refuse_auto(verb.add_option("--top-k", options->top_k,
                              "Experts run for a text; 0: all (default: the gate's)"));
  verb.add_option_function<std::string>(
          "--arrangement",
          [options](const std::string& word) {
            options->arrangement = word == "separate" ? evaluation::Arrangement::kSeparate
                                                      : evaluation::Arrangement::kShared;
          },
          "shared: one encoder pass per text for gate and experts; separate: the paper's, one for "
          "each of them, to measure what sharing saves (with --no-cache)")
      ->check(CLI::IsMember({"shared", "separate"}))
      ->type_name("shared|separate")
      ->default_str("shared");
  verb.add_option("--report", outputs->json, "Write the report as JSON")->type_name("FILE");
  outputs->add_pages(verb);
  verb.add_flag("--diagnose", options->diagnose,
                "Also try whether texts are routed alike alone and together, and near duplicates "
                "like their text");
  verb.add_flag("--no-examples", options->no_examples,
                "Quote no texts in the report, which else shows some that were fixed or broken");
  verb.add_option("--monitor", options->monitor,
                  "Add a line to FILE on how far the texts have drifted from those of the gate's "
                  "fit; the report shows all of this gate")
      ->type_name("FILE");
  verb.add_flag("--strict", options->strict,
                "Refuse if an expert is another than the gate was fitted for");
  verb.add_option("--require", outputs->requirements,
                  "A threshold, as in macro_f1>=0.85; exit 6 if missed; repeatable")
      ->type_name("EXPR");
  add_data(verb, options->data);
  add_common(verb, program, *options);
  add_seed(verb, *options);
  add_cache(verb, *options);
  add_ranks(verb, program);
  verb.callback([&program, options, outputs] {
    program.action = [&program, options, outputs] { return run_eval(program, *options, *outputs); };
  });
}

}  // namespace moecollab::cli
