#include "cli/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "cli/cli.h"
#include "cli/verb.h"

namespace moecollab::cli {
namespace {

using testing::ElementsAre;

const Command& program() {
  static const Command command = program_command();
  return command;
}

const Command& command(const std::string& name) {
  for (const Command* each : flatten(program()))
    if (each->name == name) return *each;
  throw std::out_of_range(name);
}

const Argument& flag(const std::string& verb, const std::string& name) {
  for (const Argument& each : command("moecollab " + verb).flags)
    if (each.name == name) return each;
  throw std::out_of_range(name);
}

TEST(Command, HoldsWhatTheVerbsDefine) {
  EXPECT_THAT(flag("eval", "--fusion").words(),
              ElementsAre("mixture", "logit-union", "masked", "paper"));
  EXPECT_THAT(flag("train-gate", "--prior").words(), ElementsAre("uniform", "data"));
  EXPECT_TRUE(flag("train-gate", "--prior").takes("FILE"));
  EXPECT_THAT(flag("bench", "--stage").words(), ElementsAre("encode", "expert", "all"))
      << "words that CLI11 checks";
  EXPECT_EQ(flag("eval", "--seed").value, "N");
  EXPECT_EQ(flag("eval", "--seed").preset, "1");
  EXPECT_EQ(flag("eval", "--json").value, "");
  EXPECT_TRUE(flag("eval", "--data").repeated);
  EXPECT_FALSE(flag("eval", "--registry").repeated);
  EXPECT_EQ(flag("eval", "--registry").notes(),
            "default: registry; environment: MOECOLLAB_REGISTRY");
  EXPECT_TRUE(flag("train-expert", "--kind").required);
  EXPECT_EQ(flag("eval", "--help").short_name, "-h");
  EXPECT_THAT(command("moecollab experts add").examples,
              ElementsAre("moecollab experts add ./legal-clauses.package --registry "
                          "build/demo/registry"));
}

// Without a registry, it would be the sample that git tracks.
TEST(Command, ExamplesThatWriteIntoARegistryNameOne) {
  for (const char* verb : {"train-expert", "train-gate", "train", "train-baseline", "grow", "admit",
                           "sweep", "experts add", "experts verify"}) {
    EXPECT_THAT(command(fmt::format("moecollab {}", verb)).examples,
                ElementsAre(testing::HasSubstr("--registry build/demo/registry")));
  }
  EXPECT_EQ(program().examples.at(0).find("export MOECOLLAB_REGISTRY=build/demo/registry"), 0u);
}

TEST(Command, UsageNamesWhatMustBeGiven) {
  EXPECT_EQ(command("moecollab").usage(), "moecollab VERB [OPTIONS]");
  EXPECT_EQ(command("moecollab predict").usage(), "moecollab predict [OPTIONS] [files...]");
  EXPECT_EQ(command("moecollab sign").usage(), "moecollab sign [OPTIONS] --key FILE package");
}

// Otherwise completion offers nothing, and the page of commands says "TEXT".
TEST(Command, ValuesThatAreAPathSayWhich) {
  const std::set<std::string> free_text = {"--domain", "--check",  "--id",
                                           "--name",   "--reason", "--to"};
  for (const Command* verb : flatten(program())) {
    for (const Argument& each : verb->flags) {
      EXPECT_TRUE(each.value != "TEXT" || free_text.contains(each.name))
          << verb->name << " " << each.name;
    }
    EXPECT_LE(verb->operands.size(), 1u) << verb->name << ": completion knows of one operand";
  }
}

TEST(Command, FlagsOfAGroupAreTheSameInEveryVerb) {
  std::map<std::string, Argument> known;
  for (const Command* verb : flatten(program())) {
    for (const Argument& each : verb->flags) {
      if (each.group != kDataGroup && each.group != kCommonGroup) continue;
      const Argument& first = known.emplace(each.name, each).first->second;
      EXPECT_TRUE(first == each) << verb->name << " " << each.name;
    }
  }
}

// The words stand beside the parsers that check them: neither knows more than the other.
TEST(Command, EveryWordIsTakenByItsOption) {
  Program program;
  add_verbs(program);
  std::set<std::string> checked;
  const auto accepts = [](CLI::Option* option, const std::string& word) {
    option->clear();
    option->add_result(word);
    try {
      option->run_callback();
    } catch (const std::exception&) {
      return false;
    }
    return true;
  };
  for (CLI::App* verb : program.app.get_subcommands([](CLI::App*) { return true; })) {
    for (CLI::Option* option : verb->get_options()) {
      const Argument argument = to_argument(*option);
      for (const std::string& word : argument.words())
        EXPECT_TRUE(accepts(option, word)) << verb->get_name() << " " << argument.name << word;
      if (!argument.words().empty() && !accepts(option, "nosuchword"))
        checked.insert(argument.name);
    }
  }
  EXPECT_THAT(checked,
              testing::IsSupersetOf({"--fusion", "--format", "--device", "--precision", "--gate",
                                     "--optimizer", "--entropy-sign", "--stage", "--level"}));
}

std::string output_of(const std::vector<std::string>& arguments, int status) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  EXPECT_EQ(run(arguments), status);
  return testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr();
}

TEST(Help, IsWhatTheVerbsFlagPrints) {
  EXPECT_EQ(output_of({"help"}, 0), output_of({"--help"}, 0));
  for (const Command* each : flatten(program())) {
    std::vector<std::string> words;
    for (std::string rest = each->name; rest.find(' ') != std::string::npos;) {
      rest = rest.substr(rest.find(' ') + 1);
      words.push_back(rest.substr(0, rest.find(' ')));
    }
    std::vector<std::string> asked = words;
    asked.insert(asked.begin(), "help");
    words.push_back("--help");
    const std::string text = output_of(asked, 0);
    EXPECT_EQ(text, output_of(words, 0)) << each->name;
    EXPECT_THAT(text, testing::HasSubstr("Usage: " + each->name));
  }
}

TEST(Help, OfAnUnknownVerbIsRefusedAsTheVerbItselfIs) {
  EXPECT_EQ(output_of({"help", "evla"}, 2), output_of({"evla"}, 2));
  EXPECT_THAT(output_of({"help", "evla"}, 2), testing::HasSubstr("did you mean `eval`"));
  EXPECT_EQ(output_of({"help", "experts", "ad"}, 2), output_of({"experts", "ad"}, 2));
}

TEST(Help, AVerbsOwnVerbIsNamedInFull) {
  EXPECT_THAT(output_of({"experts", "add", "p", "--nmae", "x"}, 2),
              testing::HasSubstr("`moecollab experts add --help` lists what it takes"));
}

std::string refusal_of(const std::vector<std::string>& arguments) {
  return output_of(arguments, 2);
}

TEST(Refusal, NoVerbListsThem) {
  EXPECT_THAT(refusal_of({}),
              testing::HasSubstr("moecollab needs a verb, and none is named: eval, predict,"));
  EXPECT_THAT(refusal_of({}), testing::HasSubstr("`moecollab help` says what each does"));
  EXPECT_THAT(refusal_of({"experts"}),
              testing::HasSubstr("moecollab experts needs a verb, and none is named: list,"));
  EXPECT_THAT(refusal_of({"experts"}), testing::HasSubstr("`moecollab help experts` says"));
}

TEST(Refusal, AValueIsNamedWithItsOptionAndWhatItIsToBe) {
  const std::map<std::vector<std::string>, std::string> messages = {
      {{"eval", "--top-k", "many"}, "--top-k is \"many\", expected a whole number\n"},
      {{"train-gate", "--top-k", "many"}, "--top-k is \"many\", expected a whole number or auto\n"},
      {{"train-gate", "--top-k", "2x"}, "--top-k is \"2x\", expected a whole number or auto\n"},
      {{"eval", "--top-k", "auto"}, "--top-k auto is for train-gate alone, "},
      {{"predict", "--top-k", "auto"}, "--top-k auto is for train-gate alone, "},
      {{"sweep", "--top-k", "auto"}, "--top-k auto is for train-gate alone, "},
      {{"train-gate", "--lambda1", "x"}, "--lambda1 is \"x\", expected a number\n"},
      {{"sweep", "--lambda1", "0", "x"}, "--lambda1 is \"0 x\", expected a number\n"},
      {{"eval", "--seed", "x"}, "--seed is \"x\", expected a whole number\n"},
      {{"bench", "--stage", "none"}, "--stage is \"none\", expected encode|expert|all\n"},
      {{"eval", "--registry"}, "--registry has no value, expected FOLDER\n"},
      {{"eval", "--json=x"}, "--json is \"x\", and takes no value\n"},
      {{"train-baseline"}, "kind is required\n"}};
  for (const auto& [arguments, message] : messages)
    EXPECT_THAT(refusal_of(arguments), testing::HasSubstr("error: E_CONFIG: " + message));
}

TEST(Refusal, AnUnknownOptionIsSaidInOneSentence) {
  EXPECT_THAT(
      refusal_of({"eval", "--spilt", "dev"}),
      testing::HasSubstr("this version of moecollab eval does not know \"--spilt\"; did you "
                         "mean `--split`?\n"));
  for (const std::vector<std::string>& asked : std::vector<std::vector<std::string>>{
           {"-v"}, {"-V"}, {"predict", "-v"}, {"eval", "--version"}})
    EXPECT_THAT(refusal_of(asked), testing::HasSubstr("did you mean `moecollab --version`?"));
  EXPECT_THAT(refusal_of({"--verison"}), testing::HasSubstr("did you mean `--version`?"));
}

}  // namespace
}  // namespace moecollab::cli
