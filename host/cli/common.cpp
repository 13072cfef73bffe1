#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
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
      ->type_name("FOLDER")
      ->envname("MOECOLLAB_REGISTRY")
      ->capture_default_str()
      ->group(kCommonGroup);
  verb.add_option("--encoder", options.encoder, "Encoder folder (default: the registry's)")
      ->type_name("FOLDER")
      ->envname("MOECOLLAB_ENCODER")
      ->group(kCommonGroup);
  verb.add_option_function<int>(
          "--threads",
          [&options](int threads) {
            if (threads < 0 || threads > 1024) {
              throw Error(
                  "E_CONFIG",
                  fmt::format("--threads is {}, expected 1 to 1024 (0: all cores)", threads));
            }
            options.compute.threads = threads > 0 ? threads : usable_cores();
          },
          "Threads (default: the cores this process may use)")
      ->group(kCommonGroup);
  verb.add_option("--batch-tokens", options.batch_tokens, "Real tokens of one encoder pass")
      ->capture_default_str()
      ->group(kCommonGroup);
  verb.add_option_function<std::string>(
          "--device",
          [&program, &options](const std::string& asked) {
            options.compute.device = resolve_device(asked);
            if (asked == "auto")
              program.notes.push_back("device auto: the CPU, the only one of this version");
          },
          "What computes; auto: the CPU")
      ->type_name(fmt::format("{}|auto", name(Device::kCpu)))
      ->default_str(name(options.compute.device))
      ->group(kCommonGroup);
  verb.add_option_function<std::string>(
          "--precision",
          [&options](const std::string& asked) {
            options.compute.precision = resolve_precision(asked);
          },
          "Numbers that it computes with")
      ->type_name(name(Precision::kFp32))
      ->default_str(name(options.compute.precision))
      ->group(kCommonGroup);
  add_output(verb, program);
}

void add_output(CLI::App& verb, Program& program) {
  // Before any other option is looked at, whose refusal is then printed as JSON too.
  verb.add_flag("--json", program.json, "Print the result as JSON")
      ->trigger_on_parse()
      ->group(kCommonGroup);
  verb.add_flag("--quiet", program.quiet, "Warnings and errors only")->group(kCommonGroup);
  verb.add_option("--config",
                  "TOML file with any of these options as keys; flags and environment win")
      ->type_name("FILE")
      ->group(kCommonGroup);
}

void add_seed(CLI::App& verb, engine::RunOptions& options) {
  verb.add_option("--seed", options.seed, "Seed of every random choice")
      ->capture_default_str()
      ->group(kCommonGroup);
}

void add_cache(CLI::App& verb, engine::WhereOptions& options) {
  verb.add_option("--cache-dir", options.cache_dir,
                  "Folder of cached features (default: the user's cache folder)")
      ->type_name("FOLDER")
      ->group(kCommonGroup);
  verb.add_flag("--no-cache", options.no_cache, "Neither read nor write cached features")
      ->group(kCommonGroup);
}

void add_data(CLI::App& verb, data::DataOptions& options) {
  verb.add_option("--data-dir", options.dir, "Folder holding <domain>/{train,dev,test}.jsonl (also .csv, .tsv, …)")
      ->type_name("FOLDER")
      ->group(kDataGroup);
  verb.add_option("--data", options.files, "One domain's file; repeatable")
      ->type_name("DOMAIN=FILE")
      ->group(kDataGroup);
  verb.add_option("--split", options.split, "Which of the domain's files")
      ->type_name("train|dev|test")
      ->group(kDataGroup);
  add_format(verb, options.format);
}

void add_format(CLI::App& verb, data::Format& format) {
  verb.add_option_function<std::string>(
          "--format", [&format](const std::string& name) { format = data::parse_format(name); },
          "Format of the texts; auto: by the file's name")
      ->type_name("auto|jsonl|csv|tsv|lines")
      ->default_str("auto")
      ->group(kDataGroup);
}

void add_fusion(CLI::App& verb, std::optional<fusion::Mode>& mode, const std::string& words) {
  verb.add_option_function<std::string>(
          "--fusion", [&mode](const std::string& word) { mode = fusion::parse_mode(word); },
          "How the experts' answers become one (default: the gate's)")
      ->type_name(words);
}

void print_result(const Program& program, const Json& result, const std::string& text) {
  write_to_stdout(program.json ? to_line(result) + "\n" : text);
}

}  // namespace moecollab::cli
