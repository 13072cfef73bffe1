#include <fmt/format.h>

#include "base/error.h"
#include "cli/verb.h"

namespace moecollab::cli {

CLI::App& add_verb(Program& program, CLI::App& parent, const std::string& name,
                   const std::string& description, const std::string& example) {
  CLI::App* verb = parent.add_subcommand(name, description);
  program.examples[verb] = fmt::format("Example:\n  {}\n\n", example);
  return *verb;
}

void Program::suggest(const std::string& next) {
  if (console.settings().terminal) Log(console).note("next: " + next);
}

void add_common(CLI::App& verb, Program& program, engine::CommonOptions& options) {
  verb.add_option("--registry", options.registry, "Registry folder")
      ->envname("MOECOLLAB_REGISTRY")
      ->capture_default_str();
  verb.add_option("--encoder", options.encoder, "Encoder folder (default: the registry's)")
      ->envname("MOECOLLAB_ENCODER");
  verb.add_option_function<int>(
      "--threads",
      [&options](int threads) {
        if (threads < 0 || threads > 1024) {
          throw Error("E_CONFIG",
                      fmt::format("--threads is {}, expected 1 to 1024 (0: all cores)", threads));
        }
        options.compute.threads = threads > 0 ? threads : usable_cores();
      },
      "Threads (default: the cores this process may use)");
  verb.add_option("--batch-tokens", options.batch_tokens, "Real tokens of one encoder pass")
      ->capture_default_str();
  verb.add_option_function<std::string>(
          "--device",
          [&program, &options](const std::string& asked) {
            options.compute.device = resolve_device(asked);
            if (asked == "auto")
              program.notes.push_back("device auto: the CPU, the only one of this version");
          },
          "cpu or auto")
      ->default_str(name(options.compute.device));
  verb.add_option_function<std::string>(
          "--precision",
          [&options](const std::string& asked) {
            options.compute.precision = resolve_precision(asked);
          },
          "fp32")
      ->default_str(name(options.compute.precision));
  add_output(verb, program);
}

void add_output(CLI::App& verb, Program& program) {
  // Before any other option is looked at, whose refusal is then printed as JSON too.
  verb.add_flag("--json", program.json, "Print the result as JSON")->trigger_on_parse();
  verb.add_flag("--quiet", program.quiet, "Warnings and errors only");
  verb.add_option("--config",
                  "TOML file with any of these options as keys; flags and environment win")
      ->type_name("FILE");
}

void add_seed(CLI::App& verb, engine::RunOptions& options) {
  verb.add_option("--seed", options.seed, "Seed of every random choice")->capture_default_str();
}

void add_cache(CLI::App& verb, engine::WhereOptions& options) {
  verb.add_option("--cache-dir", options.cache_dir,
                  "Folder of cached features (default: the user's cache folder)");
  verb.add_flag("--no-cache", options.no_cache, "Neither read nor write cached features");
}

void add_data(CLI::App& verb, data::DataOptions& options) {
  verb.add_option("--data-dir", options.dir, "Folder holding <domain>/{train,dev,test}.jsonl");
  verb.add_option("--data", options.files, "One domain's file; repeatable")
      ->type_name("DOMAIN=FILE");
  verb.add_option("--split", options.split, "train, dev or test");
  add_format(verb, options.format);
}

void add_format(CLI::App& verb, data::Format& format) {
  verb.add_option_function<std::string>(
          "--format", [&format](const std::string& name) { format = data::parse_format(name); },
          "auto, jsonl, csv, tsv or lines")
      ->default_str("auto");
}

void add_fusion(CLI::App& verb, std::optional<fusion::Mode>& mode, const std::string& help) {
  verb.add_option_function<std::string>(
      "--fusion", [&mode](const std::string& word) { mode = fusion::parse_mode(word); }, help);
}

void print_result(const Program& program, const Json& result, const std::string& text) {
  write_to_stdout(program.json ? to_line(result) + "\n" : text);
}

}  // namespace moecollab::cli
