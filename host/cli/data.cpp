// The verbs data check and data print.
#include <fmt/format.h>

#include <deque>
#include <memory>

#include "base/error.h"
#include "base/strings.h"
#include "cli/verb.h"
#include "data/byte_source.h"
#include "data/data_check.h"
#include "data/entries.h"
#include "data/text_source.h"
#include "encoder/encoder_folder.h"
#include "text/tokenizer.h"

namespace moecollab::cli {
namespace {

using data::DataCheck;

constexpr int kAnyLength = 1 << 30;   // tokens: nothing is cut
constexpr size_t kShownRefusals = 5;  // of a file
constexpr size_t kShownLabels = 20;   // of a file

struct DataVerbOptions {
  std::vector<fs::path> files;
  data::Reading reading;
  std::optional<fs::path> encoder;
};

// One file as it was looked at.
struct CheckedFile {
  fs::path file;
  DataCheck check;
  data::FileFacts facts;
  std::vector<std::string> refused;  // the first few
  int64_t damaged = 0, empty = 0;    // rows that cannot be read, and rows without content
};

DataCheck new_check(const std::optional<text::Tokenizer>& tokenizer) {
  if (!tokenizer) return DataCheck(data::count_words, "words");
  const auto tokens = [&tokenizer](std::string_view text) {
    return static_cast<int64_t>(tokenizer->encode(text, kAnyLength).ids.size());
  };
  return DataCheck(tokens, "tokens");
}

CheckedFile check_file(const fs::path& path, const data::Reading& reading,
                       const std::optional<text::Tokenizer>& tokenizer, Log log) {
  CheckedFile file{path, new_check(tokenizer), {}, {}, 0, 0};
  file.facts = data::for_each_entry(
      path, reading, data::Need::kTextAndAnyLabel, log, [&](const data::Entry& entry) {
        if (const auto* record = std::get_if<data::Record>(&entry))
          return file.check.add(record->text, record->label, record->line);
        const auto& refusal = std::get<data::Refusal>(entry);
        if (refusal.whole_file) data::throw_refusal(path, refusal);
        ++(refusal.no_content ? file.empty : file.damaged);
        if (file.refused.size() < kShownRefusals)
          file.refused.push_back(fmt::format("{}: {}", data::place(refusal), refusal.reason));
      });
  return file;
}

// Texts that also stand in one of the other files, by file.
Json shared_texts(const std::deque<CheckedFile>& files, const CheckedFile& file) {
  Json shared = Json::object();
  for (const CheckedFile& other : files) {
    if (&other == &file) continue;
    if (const int64_t count = file.check.shared_with(other.check); count > 0)
      shared[other.file.string()] = count;
  }
  return shared;
}

Json file_json(const std::deque<CheckedFile>& files, const CheckedFile& file) {
  Json json = {{"file", file.file.string()},
               {"format", data::name(file.facts.format)},
               {"sha256", file.facts.sha256}};
  json.update(file.check.to_json());
  json["empty"] = file.empty;
  json["damaged"] = file.damaged;
  json["first_refusals"] = file.refused;
  json["shared_with"] = shared_texts(files, file);
  json["labels_stripped"] = file.facts.labels.stripped;
  json["labels_composed"] = file.facts.labels.composed;
  json["warnings"] = file.check.warnings();
  return json;
}

void add_line(std::string& out, std::string_view what, std::string_view value) {
  out += fmt::format("  {:<28} {}\n", what, value);
}

void add_nonzero(std::string& out, std::string_view what, const Json& count) {
  if (count.get<int64_t>() > 0) add_line(out, what, to_line(count));
}

std::string labels_text(const Json& labels) {
  std::string text;
  size_t shown_labels = 0;
  for (const auto& [label, count] : labels.items()) {
    if (shown_labels++ == kShownLabels) return text + fmt::format(", … ({} labels)", labels.size());
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", escaped(label, 40), to_line(count));
  }
  return text.empty() ? "none" : text;
}

std::string file_text(const Json& f) {
  std::string out = fmt::format("{} ({})\n", escaped(f["file"].get<std::string>()),
                                f["format"].get<std::string>());
  add_line(out, "rows", to_line(f["rows"]));
  add_line(out, "labels", labels_text(f["labels"]));
  if (!f["mean"].is_null()) {
    add_line(out, fmt::format("{} per text", f["unit"].get<std::string>()),
             fmt::format("{} to {}, mean {:.1f}", to_line(f["shortest"]), to_line(f["longest"]),
                         f["mean"].get<double>()));
  }
  add_nonzero(out, "without a label", f["unlabelled"]);
  add_nonzero(out, "empty", f["empty"]);
  add_nonzero(out, "cannot be read", f["damaged"]);
  for (const Json& refusal : f["first_refusals"]) add_line(out, "", refusal.get<std::string>());
  add_nonzero(out, "texts more than once", f["duplicates"]);
  add_nonzero(out, "labels with white space", f["labels_stripped"]);
  add_nonzero(out, "labels not in form C", f["labels_composed"]);
  for (const auto& [other, count] : f["shared_with"].items())
    add_line(out, fmt::format("texts also in {}", escaped(other, 60)), to_line(count));
  for (const Json& warning : f["warnings"])
    out += fmt::format("  warning: {}\n", warning.get<std::string>());
  return out;
}

int check(Program& program, const DataVerbOptions& options) {
  std::optional<text::Tokenizer> tokenizer;
  if (options.encoder)
    tokenizer = text::Tokenizer::from_folder(encoder::open_encoder_folder(*options.encoder).model,
                                             text::SpecialTokens::kSplit);
  std::deque<CheckedFile> files;
  for (const fs::path& file : options.files)
    files.push_back(check_file(file, options.reading, tokenizer, program.context().log));
  Json result = {{"files", Json::array()}};
  std::string text;
  int64_t refused = 0;
  for (const CheckedFile& file : files) {
    result["files"].push_back(file_json(files, file));
    text += file_text(result["files"].back());
    refused += file.damaged + file.empty;
  }
  print_result(program, result, text);
  return refused > 0 ? exit_status("E_DATA") : 0;
}

std::string print_line(const fs::path& file, const data::Record& record) {
  const Json rest = {{"text", record.text},
                     {"label", record.label.empty() ? Json(nullptr) : Json(record.label)},
                     {"file", file.string()},
                     {"line", record.line}};
  if (record.id.empty()) return to_line(rest);
  return fmt::format("{{\"id\":{},{}", record.id, to_line(rest).substr(1));
}

int print(Program& program, const DataVerbOptions& options) {
  int status = 0;
  for (const fs::path& file : options.files) {
    data::for_each_entry(
        file, options.reading, data::Need::kTextAndAnyLabel, program.context().log,
        [&](const data::Entry& entry) {
          if (const auto* record = std::get_if<data::Record>(&entry))
            return write_to_stdout(print_line(file, *record) + "\n");
          const auto& refusal = std::get<data::Refusal>(entry);
          if (refusal.whole_file) data::throw_refusal(file, refusal);
          status = exit_status("E_DATA");
          write_to_stdout(to_line(data::to_json(data::to_bad_record(file, refusal))) + "\n");
        });
  }
  return status;
}

CLI::App& add_data_verb(Program& program, CLI::App& parent, const std::string& name,
                        const std::string& description, const std::string& example,
                        DataVerbOptions& options) {
  CLI::App& verb = add_verb(program, parent, name, description, example);
  verb.add_option("files", options.files,
                  "JSON Lines, JSON, CSV, TSV or plain lines; - is standard input")
      ->type_name("FILE")
      ->required();
  add_reading(verb, options.reading, /*labels=*/true);
  add_output(verb, program);
  return verb;
}

}  // namespace

void add_data_verbs(Program& program) {
  CLI::App& parent = add_verb(program, program.app, "data", "Looks at files of texts",
                              "moecollab data check train.jsonl dev.jsonl");
  parent.require_subcommand(1);
  auto checked = std::make_shared<DataVerbOptions>();
  CLI::App& check_verb = add_data_verb(program, parent, "check",
                                       "Says what labelled files hold, and what is odd about them",
                                       "moecollab data check train.jsonl dev.jsonl", *checked);
  check_verb.add_option("--encoder", checked->encoder, "Encoder folder: lengths in its tokens")
      ->type_name("FOLDER");
  check_verb.callback([&program, checked] {
    program.action = [&program, checked] { return check(program, *checked); };
  });
  auto printed = std::make_shared<DataVerbOptions>();
  CLI::App& print_verb = add_data_verb(
      program, parent, "print", "Prints the records of files as they are read, as JSON Lines",
      "moecollab data print reviews.csv --text-column body", *printed);
  print_verb.callback([&program, printed] {
    program.action = [&program, printed] { return print(program, *printed); };
  });
  add_domains(program, parent);
}

}  // namespace moecollab::cli
