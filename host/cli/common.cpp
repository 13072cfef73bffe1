#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/verb.h"

namespace moecollab::cli {
namespace {

void add_device(CLI::App& verb, Program& program, engine::RunOptions& options) {
  verb.add_option_function<std::string>(
          "--device",
          [&program, &options](const std::string& asked) {
            if (asked != "auto") {
              options.compute.device = parse_device(asked);
              return;
            }
            program.before_action = [&program, &options] {
              const auto [device, why] = open_engine().best_device();
              options.compute.device = device;
              program.context().log.note(fmt::format("device auto: {}: {}", name(device), why));
            };
          },
          "What computes; auto: the first GPU, or the CPU if none can be used")
      ->type_name("cpu|cuda|cuda:N|auto")
      ->default_str(name(options.compute.device))
      ->group(kCommonGroup);
}

void add_isolation(CLI::App& verb, engine::RunOptions& options) {
  verb.add_option_function<std::string>(
          "--isolation",
          [&options](const std::string& asked) { options.isolation.all = asked == "process"; },
          "Which experts run in sandboxed processes of their own; auto: as registry.toml says, "
          "else "
          "those that were neither trained here nor signed by a trusted key; process: all")
      ->type_name("auto|process")
      ->check(CLI::IsMember({"auto", "process"}))
      ->default_str("auto")
      ->group(kCommonGroup);
  verb.add_flag("--require-sandbox", options.isolation.require_sandbox,
                "Refuse to run an expert in a process that this system cannot shut off entirely")
      ->group(kCommonGroup);
  verb.add_flag("--safe-mode", options.isolation.safe_mode,
                "Run only experts whose library came with this program; the others are left out")
      ->group(kCommonGroup);
}

}  // namespace

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
          [&program, &options](int threads) {
            if (threads < 0 || threads > 1024) {
              throw Error(
                  "E_CONFIG",
                  fmt::format("--threads is {}, expected 1 to 1024 (0: all cores)", threads));
            }
            options.compute.threads = threads > 0 ? threads : usable_cores();
            if (threads > usable_cores()) {
              program.notes.push_back(
                  fmt::format("--threads is {}, this process may use {} cores: more threads than "
                              "cores wait for each other",
                              threads, usable_cores()));
            }
          },
          "Threads (default: the cores this process may use)")
      ->group(kCommonGroup);
  verb.add_option("--batch-tokens", options.batch_tokens,
                  "Real tokens of one encoder pass; each thread of a CPU runs one (default there: "
                  "384; on a GPU: 65536)")
      ->group(kCommonGroup);
  add_device(verb, program, options);
  add_isolation(verb, options);
  verb.add_option_function<std::string>(
          "--precision",
          [&options](const std::string& asked) {
            options.auto_precision = asked == "auto";
            options.compute.precision =
                options.auto_precision ? Precision::kFp32 : parse_precision(asked);
          },
          "Numbers that the encoder computes with; auto: the fastest whose record allows it (eval, "
          "predict), else fp32; what learns takes fp32 only")
      ->type_name("auto|fp32|fp16|bf16|int8")
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

void add_ranks(CLI::App& verb, Program& program) {
  program.shared_verbs.push_back(&verb);
  verb.add_option_function<double>(
          "--dist-timeout",
          [&program](double seconds) {
            if (!(seconds >= 1 && seconds <= 86400)) {
              throw Error("E_CONFIG",
                          fmt::format("--dist-timeout is {}, expected 1 to 86400", seconds));
            }
            program.rank_timeout = seconds;
          },
          "Under mpirun: how long a rank may be silent before it counts as dead")
      ->type_name("SECONDS")
      ->default_str(fmt::format("{:g}", program.rank_timeout))
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
  verb.add_option("--data-dir", options.dir,
                  "Folder holding <domain>/{train,dev,test}.jsonl (also .csv, .tsv, …)")
      ->type_name("FOLDER")
      ->group(kDataGroup);
  verb.add_option("--data", options.files, "One domain's file, and how it is read; repeatable")
      ->type_name("DOMAIN=FILE")
      ->group(kDataGroup);
  verb.add_option(
          "--split", options.split,
          "Which of the domain's files (default: train; of eval: test if it is there, else dev)")
      ->type_name("train|dev|test")
      ->group(kDataGroup);
  add_reading(verb, options.reading, /*labels=*/true);
}

void add_reading(CLI::App& verb, data::Reading& reading, bool labels) {
  data::Columns& columns = reading.columns;
  const auto option = [&](const char* flag, const char* type, const char* meaning, auto set) {
    return verb.add_option_function<std::string>(flag, set, meaning)
        ->type_name(type)
        ->group(kDataGroup);
  };
  const auto name = [&](const char* flag, std::string& column, const char* meaning) {
    verb.add_option(flag, column, meaning)->type_name("NAME")->group(kDataGroup);
  };
  const auto names = [&](const char* flag, std::vector<std::string>& list, const char* meaning) {
    option(flag, "NAME,NAME", meaning,
           [flag, &list](const std::string& given) { list = data::parse_names(given, flag); });
  };
  option("--format", "auto|jsonl|json|csv|tsv|lines",
         "Format of the texts; auto: by content and name",
         [&reading](const std::string& word) { reading.format = data::parse_format(word); })
      ->default_str("auto");
  option(
      "--quoting", "auto|csv|none",
      "What a double quote at the beginning of a field means; auto: quoting in CSV, in TSV if its "
      "first 64 KiB show it",
      [&reading](const std::string& word) { reading.quoting = data::parse_quoting(word); })
      ->default_str("auto");
  name("--text-column", columns.text, "Column or key of the text (default: by the names in use)");
  names("--join", columns.join, "Columns whose values make the text, a blank between them");
  names("--columns", columns.names, "Names of the columns of a table without a header");
  name("--id-column", columns.id, "Column or key of the id (default: id)");
  if (!labels) return;
  name("--label-column", columns.label,
       "Column or key of the label (default: by the names in use)");
  option("--label-names", "FILE|NAME,NAME",
         "Names of the class numbers: a name per line, or a list",
         [&columns](const std::string& given) {
           columns.label_names = data::read_label_names(given);
         });
  verb.add_option("--label-base", columns.label_base, "Class number of the first label")
      ->capture_default_str()
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
