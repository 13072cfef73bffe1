#include "cli/documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"

namespace moecollab::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Argument argument(const std::string& name, const std::string& value, const std::string& meaning) {
  Argument made;
  made.name = name;
  made.value = value;
  made.meaning = meaning;
  return made;
}

// A program whose texts hold what a shell, roff or Markdown would take for its own.
Command toy() {
  Argument mode = argument("--mode", "fast|slow", "It's `how`: [x] \\ <y>");
  mode.preset = "fast";
  Argument out = argument("--out", "FOLDER", "Folder");
  out.required = true;
  Argument data = argument("--data", "DOMAIN=FILE", "");
  data.repeated = true;
  Argument help = argument("--help", "", "");
  help.short_name = "-h";
  const Command go = {"toy go",
                      ".Goes: `there`",
                      {"toy go 'a b' | tail -1"},
                      {mode, out, data},
                      {argument("file", "FILE", "File")},
                      {}};
  return {"toy", "Toys.", {"toy go"}, {help}, {}, {go}};
}

TEST(Completion, BashListsVerbsFlagsAndWords) {
  EXPECT_THAT(bash_completion(toy()),
              AllOf(HasSubstr("verbs=\"go\""), HasSubstr("flags=\"--mode --out --data\""),
                    HasSubstr("--mode) choices=\"fast slow\" ;;"),
                    HasSubstr("--out) paths=folders ;;"), HasSubstr("--data) paths=files ;;"),
                    HasSubstr("*) paths=files ;;"), Not(HasSubstr("how"))));
}

TEST(Completion, ZshTextsAreQuoted) {
  EXPECT_THAT(
      zsh_completion(toy()),
      AllOf(HasSubstr("'--mode=[It'\\''s `how`\\: \\[x\\] \\\\ <y>]:fast|slow:(fast slow)'"),
            HasSubstr("'--out=[Folder]:FOLDER:_files -/'"),
            HasSubstr("'*--data=[]:DOMAIN=FILE:{ compset -P \"*=\"; _files }'"),
            HasSubstr("'1::FILE:_files'"), HasSubstr("'go:.Goes\\: `there`'"),
            HasSubstr("'(- *)-h[]'")));
}

TEST(Completion, FishTextsAreQuoted) {
  EXPECT_THAT(
      fish_completion(toy()),
      AllOf(HasSubstr("-n '__moecollab_at go' -l mode -x -a 'fast slow' "
                      "-d 'It\\'s `how`: [x] \\\\ <y>'"),
            HasSubstr("-l out -x -a '(__fish_complete_directories)' -d 'Folder'"),
            HasSubstr("-l data -r -F -d ''"), HasSubstr("-n '__moecollab_at go' -F -d 'File'"),
            HasSubstr("-n '__moecollab_at --end' -s h -l help")));
}

TEST(Manual, TextsStandForThemselves) {
  const Command program = toy();
  EXPECT_THAT(manual_page(program.commands[0], program),
              AllOf(HasSubstr("\n\\&.Goes: \\(gathere\\(ga.\n"),
                    HasSubstr("\\fB\\-\\-mode\\fR \\fIfast|slow\\fR\n"
                              "It\\(aqs \\(gahow\\(ga: [x] \\e <y> (default: fast).\n"),
                    HasSubstr("toy go \\(aqa b\\(aq | tail \\-1\n"),
                    HasSubstr("toy go [OPTIONS] \\-\\-out FOLDER [file]\n"),
                    HasSubstr(".SH EXIT STATUS\n.TP\n\\fB0\\fR\nsuccess.\n"),
                    HasSubstr(".SH SEE ALSO\n\\fBtoy(1)\\fR\n")));
}

TEST(Manual, EveryVerbHasAPage) {
  const auto files = documents(program_command());
  EXPECT_EQ(files.count("man/man1/moecollab.1"), 1u);
  EXPECT_EQ(files.count("man/man1/moecollab-train-expert.1"), 1u);
  EXPECT_EQ(files.count("man/man1/moecollab-experts-add.1"), 1u);
}

TEST(CommandsPage, TablesHoldBarsAndAngles) {
  EXPECT_THAT(commands_page(toy()),
              HasSubstr("| `--mode` | `fast\\|slow` | `fast` | It's `how`: [x] \\ &lt;y> |"));
}

TEST(CommandsPage, ErrorFamiliesAreThoseOfTheExitStatus) {
  const std::string page = commands_page(toy());
  for (const ErrorFamily& family : error_families()) {
    EXPECT_EQ(exit_status(std::string(family.prefix) + "_X"), family.status);
    EXPECT_THAT(page, HasSubstr("| `" + std::string(family.prefix) + "` | " +
                                std::to_string(family.status) + " |"));
  }
}

TEST(CommandsPage, IsTheOneInTheRepository) {
  // Not EXPECT_EQ, which would print the page.
  EXPECT_TRUE(read_file(MOECOLLAB_SOURCE_DIR "/docs/commands.md", "E_DATA") ==
              commands_page(program_command()))
      << "docs/commands.md is not what the program says; update it with\n"
         "  ninja -C build documents && cp build/share/doc/moecollab/commands.md docs/";
}

}  // namespace
}  // namespace moecollab::cli
