#include "cli/cli.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/strings.h"
#include "base/version.h"
#include "cli/command.h"
#include "cli/config_file.h"
#include "cli/console.h"
#include "cli/interrupt.h"
#include "cli/ranks.h"
#include "cli/terminate.h"
#include "cli/verb.h"

namespace moecollab::cli {
namespace {

constexpr const char* kUsage =
    "Examples:\n"
    "  export MOECOLLAB_REGISTRY=build/demo/registry    # `make demo` makes it\n"
    "  moecollab train-expert news-words --kind lexical --domain news --data-dir samples/data\n"
    "  moecollab train-gate --data-dir samples/data\n"
    "  moecollab eval --data-dir samples/data --report report.json --html report.html\n"
    "  echo 'the match went to extra time' | moecollab predict -\n\n";

std::vector<std::string> verb_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(verb->get_name());
  return names;
}

// Help whose values and notes are worded as in the manual pages.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    const Argument argument = to_argument(*option);
    if (argument.value.empty()) return "";
    return " " + argument.value + (argument.repeated ? " ..." : "");
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    return to_argument(*option).meaning_and_notes();
  }
};

std::string value_of(const CLI::Option& option) {
  if (option.get_type_size() == 0) return "";
  const std::string type = option.get_type_name();
  // CLI11 adds the words that it checks: TEXT:{encode,expert,all}.
  if (const size_t words = type.find(":{"); words != std::string::npos)
    return replace_all(type.substr(words + 2, type.size() - words - 3), ",", "|");
  if (type == "INT" || type == "UINT") return "N";
  return type == "FLOAT" ? "X" : type;
}

// The example lines that a verb's help begins with, which are indented below a heading.
std::vector<std::string> example_lines(const std::string& help) {
  std::vector<std::string> lines;
  for (const std::string& line : CLI::detail::split(help, '\n')) {
    if (line.starts_with("  ")) lines.push_back(line.substr(2));
  }
  return lines;
}

Command to_command(const Program& program, const CLI::App& app) {
  Command command{
      full_name(app), app.get_description(), example_lines(program.examples.at(&app)), {}, {}, {}};
  for (const CLI::Option* option : app.get_options())
    (option->get_positional() ? command.operands : command.flags).push_back(to_argument(*option));
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    command.commands.push_back(to_command(program, *verb));
  return command;
}

std::vector<std::string> flag_names(const CLI::App& verb) {
  std::vector<std::string> names;
  for (const CLI::Option* option : verb.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::string how_to_list(const CLI::App& verb) {
  return fmt::format("`{} --help` lists what it takes", full_name(verb));
}

// A flag near the word; the program's own --version also of one letter, and after a verb.
std::string suggestion(const CLI::App& verb, const std::string& flag) {
  if (flag == "-v" || flag == "-V" || flag == "--version")
    return "; did you mean `moecollab --version`?";
  return did_you_mean(flag, flag_names(verb));
}

[[noreturn]] void refuse_unknown(const CLI::App& verb, const std::vector<std::string>& left_over) {
  const std::string word = left_over.empty() ? "" : left_over.front();
  throw Error("E_CONFIG",
              fmt::format("this version of {} does not know \"{}\"{}", full_name(verb),
                          escaped(word, 60), suggestion(verb, word.substr(0, word.find('=')))),
              how_to_list(verb));
}

// A verb has verbs of its own, and none of them is named; or a word before it is unknown.
[[noreturn]] void refuse_no_verb(const CLI::App& verb, const std::vector<std::string>& left_over) {
  if (!left_over.empty()) refuse_unknown(verb, left_over);
  const std::string parent = verb.get_parent() == nullptr ? "" : " " + verb.get_name();
  throw Error("E_CONFIG",
              fmt::format("{} needs a verb, and none is named: {}", full_name(verb),
                          join(verb_names(verb), ", ")),
              fmt::format("`moecollab help{}` says what each does", parent));
}

std::string expected_of(const CLI::Option& option) {
  const Argument argument = to_argument(option);
  if (argument.value == "N") return "a whole number";
  return argument.value == "X" ? "a number" : argument.value;
}

// What the parser says of a value: with the option, the value and what it is to be.
[[noreturn]] void refuse_value(const CLI::App& verb, const CLI::ParseError& error) {
  std::string text = error.what();
  for (const CLI::Option* option : verb.get_options()) {
    const std::string name = option->get_name(), expected = expected_of(*option);
    if (!text.starts_with(name + ": ") && !text.starts_with("Could not convert: " + name + " = "))
      continue;
    text = option->results().empty()
               ? fmt::format("{} has no value", name)
               : fmt::format("{} is \"{}\"", name, join(option->results(), " "));
    text += expected.empty() ? ", and takes no value" : ", expected " + expected;
    break;
  }
  throw Error("E_CONFIG", escaped(text, 400), how_to_list(verb));
}

int parse_and_run(Program& program, std::vector<std::string> arguments) {
  CLI::App& verb = find_verb(program.app, arguments);
  arguments = with_config(verb, std::move(arguments));
  std::reverse(arguments.begin(), arguments.end());  // what CLI11 wants of a vector
  try {
    program.app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    write_to_stdout(help_text(program, verb));
    return 0;
  } catch (const CLI::CallForVersion& version) {
    write_to_stdout(fmt::format("{}\n", version.what()));
    return 0;
  } catch (const CLI::ExtrasError&) {
    refuse_unknown(verb, program.app.remaining(/*recurse=*/true));
  } catch (const CLI::RequiredError& error) {
    if (!verb_names(verb).empty()) refuse_no_verb(verb, program.app.remaining(/*recurse=*/true));
    refuse_value(verb, error);
  } catch (const CLI::ParseError& error) {
    refuse_value(verb, error);
  }
  program.console = Console(settings_of_stderr(program.quiet));
  join_ranks(program, verb);
  for (const std::string& note : program.notes) program.context().log.note(note);
  if (program.before_action) program.before_action();
  const int status = program.action();
  leave_ranks(program, status);
  return status;
}

}  // namespace

// Neither stream needs to take it: the exit status is the error's.
void report(const Error& error, bool json) {
  std::string text = fmt::format("error: {}: {}\n", error.code(), error.what());
  if (!error.hint().empty()) text += fmt::format("  {}\n", error.hint());
  flush_stdout();
  write_to_stderr(text);
  if (!json) return;
  const std::string line =
      to_line({{"error",
                {{"code", error.code()}, {"message", error.what()}, {"hint", error.hint()}}}}) +
      "\n";
  write_to_stdout(line);
  flush_stdout();
}

void add_verbs(Program& program) {
  program.examples[&program.app] = kUsage;
  program.app.name("moecollab");
  program.app.formatter(std::make_shared<HelpFormatter>());  // inherited by the verbs
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
  add_ablate(program);
  add_scale(program);
  add_report(program);
  add_data_verbs(program);
  add_experts(program);
  add_registry(program);
  add_new(program);
  add_validate(program);
  add_pack(program);
  add_keygen(program);
  add_sign(program);
  add_encode(program);
  add_tokenize(program);
  add_bench(program);
  add_doctor(program);
  add_help(program);
}

CLI::App& find_verb(CLI::App& app, const std::vector<std::string>& arguments, size_t index) {
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

std::string help_text(const Program& program, const CLI::App& verb) {
  // Not help() of the verb, which gives that of a verb of its own that was parsed.
  return program.examples.at(&verb) +
         verb.get_formatter()->make_help(&verb, full_name(verb), CLI::AppFormatMode::Normal);
}

void add_help(Program& program) {
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App& verb = add_verb(program, program.app, "help", "Prints what VERB --help prints",
                            "moecollab help experts add");
  verb.add_option("verb", *words, "A verb, and its own verb; none: the program")->type_name("VERB");
  add_output(verb, program);
  verb.callback([&program, words] {
    program.action = [&program, words] {
      const std::string text = help_text(program, find_verb(program.app, *words));
      print_result(program, {{"help", text}}, text);
      return 0;
    };
  });
}

Argument to_argument(const CLI::Option& option) {
  Argument argument;
  argument.name = option.get_positional() ? option.get_name(/*positional=*/true)
                                          : "--" + option.get_lnames().at(0);
  if (!option.get_snames().empty()) argument.short_name = "-" + option.get_snames().front();
  argument.value = value_of(option);
  argument.meaning = option.get_description();
  if (!argument.value.empty()) argument.preset = option.get_default_str();
  argument.variable = option.get_envname();
  argument.group = option.get_group();
  argument.required = option.get_required();
  argument.repeated = option.get_expected_max() > 1 && !argument.value.empty();
  return argument;
}

std::string full_name(const CLI::App& verb) {
  const CLI::App* parent = verb.get_parent();
  return parent == nullptr ? verb.get_name()
                           : fmt::format("{} {}", full_name(*parent), verb.get_name());
}

Command program_command() {
  Program program;
  add_verbs(program);
  return to_command(program, program.app);
}

// A command that a shell reads as these arguments.
std::string as_typed(const std::vector<std::string>& arguments) {
  std::string command = "moecollab";
  for (const std::string& argument : arguments) {
    const bool plain =
        !argument.empty() && argument.find_first_not_of(
                                 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789-_=+./:,@%^") == std::string::npos;
    command += ' ';
    if (plain) {
      command += argument;
      continue;
    }
    command += '\'';
    for (const char c : argument) command += c == '\'' ? std::string("'\\''") : std::string(1, c);
    command += '\'';
  }
  return command;
}

int run(const std::vector<std::string>& arguments) {
  occupy_standard_descriptors();
  say_lack_of_memory();
  Program program;
  program.command = as_typed(arguments);
  try {
    add_verbs(program);
    const int status = parse_and_run(program, arguments);
    if (!flush_stdout()) throw Error("E_WRITE", "standard output could not be written");
    return status;
  } catch (const Error& error) {
    return end_with(program, error);
  } catch (const std::bad_alloc&) {
    return end_with(program, Error("E_INTERNAL", "out of memory", "try a smaller --batch-tokens"));
  } catch (const std::exception& error) {
    // LibTorch's messages continue with pages of dispatch tables and stack frames.
    const std::string_view text = error.what();
    return end_with(program,
                    Error("E_INTERNAL", escaped(text.substr(0, text.find('\n')), 400),
                          "this is a defect of moecollab; please report it with the command"));
  }
}

}  // namespace moecollab::cli
