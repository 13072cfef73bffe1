#include "cli/cli.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/strings.h"
#include "base/version.h"
#include "cli/config_file.h"
#include "cli/console.h"
#include "cli/interrupt.h"
#include "cli/verb.h"

namespace moecollab::cli {
namespace {

constexpr const char* kUsage =
    "Examples:\n"
    "  moecollab train-expert news-words --kind lexical --domain news --data-dir samples/data\n"
    "  moecollab train-gate --data-dir samples/data\n"
    "  moecollab eval --data-dir samples/data --report report.json --html report.html\n"
    "  echo 'the match went to extra time' | moecollab predict -\n\n";

void build(Program& program) {
  program.examples[&program.app] = kUsage;
  program.app.name("moecollab");
  program.app.set_version_flag("--version", fmt::format("moecollab {}", kVersion));
  program.app.require_subcommand(1);
  add_eval(program);
  add_predict(program);
  add_train_expert(program);
  add_train_gate(program);
  add_train_rounds(program);
  add_train_baseline(program);
  add_grow(program);
  add_admit(program);
  add_sweep(program);
  add_experts(program);
  add_new(program);
  add_validate(program);
  add_pack(program);
  add_keygen(program);
  add_sign(program);
  add_encode(program);
  add_tokenize(program);
  add_bench(program);
  add_doctor(program);
}

std::vector<std::string> verb_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(verb->get_name());
  return names;
}

std::vector<std::string> flag_names(const CLI::App& verb) {
  std::vector<std::string> names;
  for (const CLI::Option* option : verb.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// The verb (and its own verb, as in `experts list`) that the arguments begin with.
CLI::App& find_verb(CLI::App& app, const std::vector<std::string>& arguments, size_t index = 0) {
  const std::vector<std::string> names = verb_names(app);
  if (names.empty() || index >= arguments.size() || arguments[index].starts_with("-")) return app;
  const auto verbs = app.get_subcommands(
      [&](const CLI::App* verb) { return verb->get_name() == arguments[index]; });
  if (verbs.empty()) {
    throw Error("E_CONFIG",
                fmt::format("there is no verb \"{}\"{}", escaped(arguments[index], 60),
                            did_you_mean(arguments[index], names)),
                fmt::format("verbs are {}", join(names, ", ")));
  }
  return find_verb(*verbs.front(), arguments, index + 1);
}

[[noreturn]] void refuse_unknown(const CLI::App& verb, const std::vector<std::string>& left_over) {
  const std::string word = left_over.empty() ? "" : left_over.front();
  const std::string flag = word.substr(0, word.find('='));
  throw Error("E_CONFIG",
              fmt::format("{} does not know \"{}\"{}; if it is an option of another version, it is "
                          "not in this version",
                          verb.get_name(), escaped(word, 60), did_you_mean(flag, flag_names(verb))),
              fmt::format("`moecollab {} --help` lists what it takes", verb.get_name()));
}

int parse_and_run(Program& program, std::vector<std::string> arguments) {
  CLI::App& verb = find_verb(program.app, arguments);
  arguments = with_config(verb, std::move(arguments));
  std::reverse(arguments.begin(), arguments.end());  // what CLI11 wants of a vector
  try {
    program.app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    write_to_stdout(program.examples[&verb] + verb.help());
    return 0;
  } catch (const CLI::CallForVersion& version) {
    write_to_stdout(fmt::format("{}\n", version.what()));
    return 0;
  } catch (const CLI::ExtrasError&) {
    refuse_unknown(verb, program.app.remaining(/*recurse=*/true));
  } catch (const CLI::ParseError& error) {
    throw Error("E_CONFIG", escaped(error.what(), 400),
                fmt::format("`moecollab{} --help` lists what it takes",
                            &verb == &program.app ? "" : " " + verb.get_name()));
  }
  program.console = Console(settings_of_stderr(program.quiet));
  for (const std::string& note : program.notes) program.context().log.note(note);
  return program.action();
}

// Neither stream needs to take it: the exit status is the error's.
void report(const Error& error, bool json) {
  std::string text = fmt::format("error: {}: {}\n", error.code(), error.what());
  if (!error.hint().empty()) text += fmt::format("  {}\n", error.hint());
  write_to_stderr(text);
  if (!json) return;
  const std::string line =
      to_line({{"error",
                {{"code", error.code()}, {"message", error.what()}, {"hint", error.hint()}}}}) +
      "\n";
  write_to_stdout(line);
}

}  // namespace

int run(const std::vector<std::string>& arguments) {
  occupy_standard_descriptors();
  Program program;
  program.command = "moecollab " + join(arguments, " ");
  try {
    build(program);
    const int status = parse_and_run(program, arguments);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      throw Error("E_WRITE", "standard output could not be written");
    return status;
  } catch (const Error& error) {
    report(error, program.json);
    return error.code() == "E_INTERRUPTED" ? interrupted_status() : exit_status(error.code());
  } catch (const std::bad_alloc&) {
    report(Error("E_INTERNAL", "out of memory", "try a smaller --batch-tokens"), program.json);
  } catch (const std::exception& error) {
    // LibTorch's messages continue with pages of dispatch tables and stack frames.
    const std::string_view text = error.what();
    report(Error("E_INTERNAL", escaped(text.substr(0, text.find('\n')), 400),
                 "this is a defect of moecollab; please report it with the command"),
           program.json);
  }
  return 1;
}

}  // namespace moecollab::cli
