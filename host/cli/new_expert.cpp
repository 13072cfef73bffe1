// The verb new expert: a project of its own from sdk/template.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <memory>

#include "base/embedded.h"
#include "base/error.h"
#include "base/files.h"
#include "base/strings.h"
#include "cli/verb.h"
#include "registry/names.h"

namespace moecollab::cli {

// sdk/template: common/…, rules/… or learner/…, <language>/… and features/….
std::span<const EmbeddedFile> template_files();

namespace {

// A way to learn that a language has a project for, and what that may read; of a language the
// first is the usual one.
struct Variant {
  std::string_view language, learns;
  std::vector<std::string> reads;
};
const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = {
      {"c", "no", {"text"}},
      {"c", "fit", {"pooled", "hidden", "tokens", "text"}},
      {"cpp", "fit", {"pooled", "hidden", "tokens", "text"}},
      {"cpp", "train", {"pooled", "hidden", "tokens", "text"}},
      {"cpp", "no", {"text"}},
      {"torch", "train", {"pooled"}},
  };
  return all;
}

struct NewExpertOptions {
  std::string name, language = "cpp", reads, learns, id;
  fs::path output;
};

// legal-clauses is LegalClauses.
std::string class_name(const std::string& name) {
  std::string result;
  bool upper = true;
  for (const char c : name) {
    if (c == '-' || c == '_') {
      upper = true;
      continue;
    }
    result += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    upper = false;
  }
  return result;
}

std::string filled(std::string_view text, const std::map<std::string, std::string>& values) {
  std::string result(text);
  for (const auto& [placeholder, value] : values) {
    for (size_t at = 0; (at = result.find(placeholder, at)) != std::string::npos;
         at += value.size())
      result.replace(at, placeholder.size(), value);
  }
  return result;
}

// Fills in what was not asked for. Throws E_CONFIG naming those of the language if there is none
// that reads and learns so.
void choose(NewExpertOptions& options) {
  std::vector<std::string> known;
  for (const Variant& variant : variants()) {
    if (variant.language != options.language) continue;
    const bool learns = options.learns.empty() || options.learns == variant.learns;
    for (const std::string& reads : variant.reads) {
      if (learns && (options.reads.empty() || options.reads == reads)) {
        options.learns = variant.learns;
        options.reads = reads;
        return;
      }
    }
    known.push_back(
        fmt::format("--learns {} with --reads {}", variant.learns, join(variant.reads, ", ")));
  }
  throw Error("E_CONFIG",
              fmt::format("there is no project in {} with {}{}{}", options.language,
                          options.reads.empty() ? "" : "--reads " + escaped(options.reads, 40),
                          options.reads.empty() || options.learns.empty() ? "" : " ",
                          options.learns.empty() ? "" : "--learns " + escaped(options.learns, 40)),
              fmt::format("there is {}; begin with the one that is nearest and change it",
                          join(known, "; ")));
}

void check(const NewExpertOptions& options) {
  if (!registry::is_name(options.name) ||
      !std::islower(static_cast<unsigned char>(options.name[0]))) {
    throw Error("E_CONFIG",
                fmt::format("the name {} is not a letter and up to 63 of a-z, 0-9, _ and -",
                            escaped(options.name, 80)));
  }
  const std::vector<std::string> known = {"c", "cpp", "torch"};
  if (std::ranges::find(known, options.language) == known.end()) {
    throw Error("E_CONFIG",
                fmt::format("--language is {}{}", escaped(options.language, 40),
                            did_you_mean(options.language, known)),
                "known are c, cpp and torch");
  }
  if (!registry::is_id(options.id)) {
    throw Error("E_CONFIG",
                fmt::format("--id is {}, expected a reverse domain name", escaped(options.id, 80)),
                fmt::format("such as com.example.{}", options.name));
  }
  std::error_code none;
  if (fs::exists(options.output, none) && !fs::is_empty(options.output, none)) {
    throw Error("E_WRITE", fmt::format("{} is there already", escaped(options.output.string())),
                "name another folder with --output, or remove it");
  }
}

// A file of the template, or "".
std::string part(const std::string& path) {
  const auto file = std::ranges::find(template_files(), path, &EmbeddedFile::path);
  return file == template_files().end() ? "" : std::string(file->text);
}

// What stands for each @PLACEHOLDER@.
std::map<std::string, std::string> values_of(const NewExpertOptions& options) {
  std::string target = options.name;
  std::replace(target.begin(), target.end(), '-', '_');
  const std::string suffix = options.language == "c" ? "c" : "cpp";
  std::string features = part(fmt::format("features/{}.{}", options.reads, suffix));
  if (options.learns == "train")
    features += part(fmt::format("features/{}.vjp.{}", options.reads, suffix));
  return {{"@NAME@", options.name},
          {"@TARGET@", target},
          {"@CLASS@", class_name(options.name)},
          {"@ID@", options.id},
          {"@SUFFIX@", suffix},
          {"@FEATURES@", features},
          {"@INPUT@", part(fmt::format("features/{}.toml", options.reads))},
          {"@TRAINING@", part(fmt::format("{}/{}.toml", options.language, options.learns))}};
}

Json write_project(const NewExpertOptions& options) {
  const std::map<std::string, std::string> values = values_of(options);
  const std::string source = fmt::format("{}.{}", options.learns, values.at("@SUFFIX@"));
  Json written = Json::array();
  const auto write = [&](const std::string& to, std::string_view text) {
    const fs::path path = options.output / filled(to, values);
    make_folder(path.parent_path());
    write_file_atomic(path, filled(text, values));
    written.push_back(filled(to, values));
  };
  for (const EmbeddedFile& file : template_files()) {
    const size_t slash = file.path.find('/');
    const std::string_view folder = file.path.substr(0, slash);
    const std::string name(file.path.substr(slash + 1));
    if (folder == "common" || folder == (options.learns == "no" ? "rules" : "learner"))
      write(name, file.text);
    else if (folder == options.language && name == "CMakeLists.txt")
      write(name, file.text);
    else if (folder == options.language && name == source)
      write("@TARGET@.@SUFFIX@", file.text);
  }
  return {{"name", options.name},   {"language", options.language},
          {"reads", options.reads}, {"learns", options.learns},
          {"id", options.id},       {"folder", options.output.string()},
          {"files", written}};
}

}  // namespace

void add_new(Program& program) {
  auto options = std::make_shared<NewExpertOptions>();
  CLI::App& parent = add_verb(program, program.app, "new", "Begins a project",
                              "moecollab new expert legal-clauses --language cpp");
  parent.require_subcommand(1);
  CLI::App& verb =
      add_verb(program, parent, "expert",
               "Writes an expert's project: it builds, trains and is tested as it comes",
               "moecollab new expert legal-clauses --language cpp");
  verb.add_option("name", options->name, "Name of the expert: a letter, then a-z, 0-9, _ and -")
      ->required();
  verb.add_option("--language", options->language, "What the expert is written in")
      ->type_name("c|cpp|torch")
      ->capture_default_str();
  verb.add_option(
          "--reads", options->reads,
          "What it reads: the text itself, its tokens, or the encoder's state of each token "
          "or of the whole text; default: what the language's usual project does")
      ->type_name("text|tokens|hidden|pooled");
  verb.add_option("--learns", options->learns,
                  "How it learns: not at all, by itself, or by gradients that the host asks for; "
                  "default: as --reads")
      ->type_name("no|fit|train");
  verb.add_option("--id", options->id, "Reverse-DNS id; default: com.example.NAME");
  verb.add_option("--output", options->output, "Folder of the project; default: ./NAME")
      ->type_name("FOLDER");
  add_output(verb, program);
  verb.callback([&program, options] {
    program.action = [&program, options] {
      if (options->id.empty()) options->id = "com.example." + options->name;
      if (options->output.empty()) options->output = options->name;
      check(*options);
      choose(*options);
      const Json result = write_project(*options);
      print_result(program, result,
                   fmt::format("{} is written: {} files\n  cmake -S {} -B {}/build "
                               "-DCMAKE_PREFIX_PATH=<where MoECollab is installed>\n",
                               options->output.string(), result["files"].size(),
                               options->output.string(), options->output.string()));
      return 0;
    };
  });
}

}  // namespace moecollab::cli
