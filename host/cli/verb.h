// What the files of the verbs share.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "cli/console.h"
#include "cli/interrupt.h"
#include "cluster/team.h"
#include "engine/engine.h"

namespace moecollab::cli {

// State of one run. Every verb binds its flags to an options struct and sets `action`.
struct Program {
  CLI::App app{"Puts text classifiers made by different people behind one answer."};
  bool json = false;
  bool quiet = false;
  std::string command;                  // as typed
  std::vector<std::string> notes;       // of options, said when it is known whether to say them
  std::function<void()> before_action;  // what an option needs the engine for, or empty
  std::function<int()> action;
  std::map<const CLI::App*, std::string> examples;  // what help begins with
  Console console;                                  // from when the arguments are read
  std::vector<const CLI::App*> shared_verbs;        // that several ranks may run
  double rank_timeout = cluster::TeamOptions().timeout;
  std::unique_ptr<cluster::Team> ranks;  // if mpirun started this process

  // Whether this process prints and writes; of several ranks the first does.
  bool leads() const { return moecollab::leads(ranks.get()); }
  // What the engine's verbs are called with.
  RunContext context() {
    if (!leads()) return {Log(), interrupt_token(), nullptr, ranks.get()};
    return {Log(console), interrupt_token(), &console, ranks.get()};
  }
  // The next useful command, for a person; a script knows what it does next.
  void suggest(const std::string& next);
};

// Common flags; a verb picks what it takes. type_name() of an option says what its value is: FILE,
// FOLDER, PATH (a file or a folder), DOMAIN=FILE, or the words that it may be ("cpu|auto"); help,
// completions and manual pages are made from it.
void add_common(CLI::App& verb, Program& program, engine::CommonOptions& options);
// Only --json, --quiet and --config, which every verb takes.
void add_output(CLI::App& verb, Program& program);
void add_seed(CLI::App& verb, engine::RunOptions& options);
// A verb that several ranks may run, and how long one of them may be silent.
void add_ranks(CLI::App& verb, Program& program);
// --reason and --dry-run of a verb that changes a registry.
void add_change(CLI::App& verb, std::string& reason, bool& dry_run);
void add_cache(CLI::App& verb, engine::WhereOptions& options);
void add_data(CLI::App& verb, data::DataOptions& options);
// --format, --quoting, and the columns of texts; with `labels` those of labels too.
void add_reading(CLI::App& verb, data::Reading& reading, bool labels);
// Everything that a fit of the gate takes but --lambda1, --lambda2 and --top-k.
void add_gate_fit(CLI::App& verb, training::GateTrainingOptions& options);

// --top-k of train-gate, a number or `auto`.
void add_top_k_or_auto(CLI::App& verb, training::GateTrainingOptions& options);
// Refuses `auto` for the --top-k of any other verb, and says where it belongs.
void refuse_auto(CLI::Option* top_k);

// --fusion, one of `words` ("mixture|logit-union"); the gate's unless given.
void add_fusion(CLI::App& verb, std::optional<fusion::Mode>& mode, const std::string& words);

// KEY=VALUE of --set, the value read as JSON if it is JSON, else as a string. Throws
// E_CONFIG.
Json parse_settings(const std::vector<std::string>& settings);

// The program's name, flags and verbs.
void add_verbs(Program& program);
// A verb of the program whose help begins with an example.
CLI::App& add_verb(Program& program, CLI::App& parent, const std::string& name,
                   const std::string& description, const std::string& example);

// The error for a person on stderr, and with `json` as a line on stdout, too.
void report(const Error& error, bool json);
// One line of compact JSON, or `text`, on stdout.
void print_result(const Program& program, const Json& result, const std::string& text);

// A flag for a whole number of at least 1; another is E_CONFIG.
template <typename Number>
void add_count(CLI::App& verb, const std::string& flag, Number& value,
               const std::string& description) {
  verb.add_option_function<Number>(
          flag,
          [flag, &value](Number given) {
            if (given < 1)
              throw Error("E_CONFIG", fmt::format("{} is {}, expected at least 1", flag, given));
            value = given;
          },
          description)
      ->default_str(std::to_string(value));
}

// The flags that every verb has which learns from labelled data, and what it does: `run` takes the
// filled options and gives the exit status.
template <typename Options, typename Run>
void learns_from_data(CLI::App& verb, Program& program, std::shared_ptr<Options> options, Run run) {
  add_data(verb, options->data);
  add_common(verb, program, *options);
  add_seed(verb, *options);
  add_cache(verb, *options);
  verb.callback([&program, options, run] {
    program.action = [&program, options, run] {
      options->command = program.command;
      return run(*options);
    };
  });
}

void add_train_expert(Program& program);
void add_train_gate(Program& program);
void add_train_rounds(Program& program);
void add_train_baseline(Program& program);
void add_grow(Program& program);
void add_admit(Program& program);
void add_sweep(Program& program);
void add_ablate(Program& program);
void add_scale(Program& program);
void add_eval(Program& program);
void add_report(Program& program);
void add_predict(Program& program);
void add_encode(Program& program);
void add_tokenize(Program& program);
void add_data_verbs(Program& program);
void add_domains(Program& program, CLI::App& parent);  // data domains
void add_experts(Program& program);
void add_registry(Program& program);
void add_operations(Program& program, CLI::App& parent);  // experts enable, pin, rollback, …
void add_new(Program& program);
void add_validate(Program& program);
void add_pack(Program& program);
void add_keygen(Program& program);
void add_sign(Program& program);
void add_doctor(Program& program);
void add_bench(Program& program);
void add_help(Program& program);

// The verb (and its own verb, as in `experts list`) that the words begin with; the program if they
// begin with none. Throws E_CONFIG naming the nearest for a word that is no verb.
CLI::App& find_verb(CLI::App& app, const std::vector<std::string>& words, size_t index = 0);
// What VERB --help prints.
std::string help_text(const Program& program, const CLI::App& verb);

// The conformance of a package up to that level, {"level", "passed"}. Throws E_PLUG_CONFORMANCE
// naming the first check that fails, and what `validate` throws. An empty encoder is none.
Json check_conformance(const fs::path& package, int64_t level, const fs::path& encoder);

// The engine, opened at the first call. Throws E_INTERNAL with the loader's text and the way on.
engine::Engine& open_engine();

}  // namespace moecollab::cli
