// The verb predict.
#include <memory>

#include "base/error.h"
#include "cli/console.h"
#include "cli/verb.h"

namespace moecollab::cli {

void add_predict(Program& program) {
  auto options = std::make_shared<engine::PredictOptions>();
  CLI::App& verb = add_verb(program, program.app, "predict",
                            "Answers texts as they come: lines or JSONL in, JSONL out, in order",
                            "echo 'the match went to extra time' | moecollab predict --registry "
                            "build/demo/registry -");
  verb.add_option("files", options->files,
                  "JSONL, CSV, TSV or plain lines; - is standard input (the default)")
      ->type_name("FILE");
  add_fusion(verb, options->fusion, "mixture|logit-union");
  refuse_auto(verb.add_option("--top-k", options->top_k,
                              "Experts run for a text; 0: all (default: the gate's)"));
  verb.add_option(
          "--max-latency-ms", options->max_latency_ms,
          "How long fewer texts than --batch wait for more, in milliseconds; 0: not at all, "
          "what comes meanwhile is answered together next")
      ->capture_default_str();
  verb.add_option("--batch", options->batch, "Texts answered together at most")
      ->capture_default_str();
  verb.add_option(
          "--unknown-risk", options->unknown_risk,
          "unknown_domain is the gate's entropy above this share of the held-out texts' highest")
      ->capture_default_str();
  verb.add_flag("--explain", options->explain,
                "Add what each expert that was asked says alone, and its share");
  verb.add_option("--monitor", options->monitor,
                  "Add a line to FILE, for every window of texts, on how far they have drifted "
                  "from those of the gate's fit; drift is warned about")
      ->type_name("FILE");
  verb.add_option("--monitor-window", options->monitor_window, "Texts of a window of --monitor")
      ->capture_default_str();
  verb.add_flag("--strict", options->strict,
                "Stop at the first line that cannot be read, and at an expert that the gate was "
                "not fitted for");
  add_reading(verb, options->reading, /*labels=*/false);
  add_common(verb, program, *options);
  verb.callback([&program, options] {
    program.action = [&program, options] {
      options->command = program.command;
      const Json counts =
          open_engine().predict(*options, program.context(), [](const std::string& line) {
            if (line.empty()) {
              flush_stdout();
            } else {
              write_to_stdout(line + "\n");
            }
            if (stdout_failed()) throw Error("E_WRITE", "standard output could not be written");
          });
      return counts["errors"].get<int64_t>() > 0 ? exit_status("E_DATA") : 0;
    };
  });
}

}  // namespace moecollab::cli
