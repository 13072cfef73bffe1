// The verb report: a report again as text, page or Markdown, or two of them compared; other
// documents beside it.
#include <fmt/format.h>

#include <memory>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/strings.h"
#include "cli/report_outputs.h"
#include "cli/verb.h"
#include "evaluation/report_comparison.h"
#include "evaluation/shown_documents.h"

namespace moecollab::cli {
namespace {

constexpr uint64_t kMaxReport = uint64_t{256} << 20;  // bytes
constexpr int kMaxFiles = 5;  // two reports, and a document of each other kind

struct ReportOptions {
  std::vector<fs::path> files;
  ReportOutputs outputs;
};

// What the files hold: a report, or an earlier and a later one, and what is shown beside the last.
struct Documents {
  std::vector<Json> reports;
  std::vector<std::pair<const evaluation::ShownDocument*, Json>> others;
  std::string text;  // of the others, for a terminal
};

const evaluation::ShownDocument* kind_of(const Json& document) {
  const auto schema = document.is_object() ? document.find("schema") : document.end();
  if (!document.is_object() || schema == document.end()) return nullptr;
  for (const evaluation::ShownDocument& kind : evaluation::shown_documents())
    if (*schema == kind.schema) return &kind;
  return nullptr;
}

// Throws E_DATA unless the file is a report or another document that can be shown.
void read_document(const fs::path& file, Documents& documents) {
  const std::string bytes = read_file(file, "E_DATA", kMaxReport);
  std::string reason, what = "report";
  try {
    Json document = parse_json(bytes);
    if (const evaluation::ShownDocument* kind = kind_of(document)) {
      what = fmt::format("result of `moecollab {}` that can be read", kind->verb);
      documents.text += "\n" + terminal_text(kind->page(document));  // throws if it is malformed
      documents.others.emplace_back(kind, std::move(document));
    } else {
      report_text(document);  // likewise, or if it is no report
      documents.reports.push_back(std::move(document));
    }
    return;
  } catch (const std::exception& error) {
    reason = error.what();
  }
  throw Error(
      "E_DATA", fmt::format("{} is no {}: {}", shown(file), what, escaped(reason)),
      "name a file that `moecollab eval --report` of this version wrote, and beside it what "
      "`sweep`, `ablate` or `scale` wrote");
}

Documents read_documents(const std::vector<fs::path>& files) {
  Documents documents;
  for (const fs::path& file : files) read_document(file, documents);
  if (documents.reports.empty() || documents.reports.size() > 2) {
    throw Error("E_CONFIG",
                fmt::format("{} of the {} files are reports of `moecollab eval`, not one or two",
                            documents.reports.size(), files.size()),
                "name one to show it, or an earlier and a later one to compare them");
  }
  std::set<const evaluation::ShownDocument*> kinds;
  for (const auto& [kind, unused] : documents.others)
    if (!kinds.insert(kind).second)
      throw Error("E_CONFIG", fmt::format("two files are results of `moecollab {}`", kind->verb),
                  "name one of them");
  return documents;
}

// A page must not take the place of a report that it is made from.
void require_other_files(const ReportOptions& options) {
  for (const auto& output : {options.outputs.html, options.outputs.markdown}) {
    std::error_code none;
    for (const fs::path& file : options.files)
      if (output && fs::equivalent(*output, file, none))
        throw Error("E_CONFIG", fmt::format("{} is the report itself", shown(*output)),
                    "name another file for the page");
  }
}

int run_report(Program& program, const ReportOptions& options) {
  require_other_files(options);
  options.outputs.require_writable_now();
  Documents documents = read_documents(options.files);
  Json& report = documents.reports.back();
  evaluation::Sections sections = evaluation::report_sections();
  if (documents.reports.size() == 1) {
    print_result(program, report, report_text(report) + documents.text);
  } else {
    const Json comparison = evaluation::compare_reports(documents.reports.front(), report);
    print_result(program, comparison, evaluation::comparison_text(comparison) + documents.text);
    report["comparison"] = comparison;
    sections.push_back(evaluation::comparison_section());
  }
  for (auto& [kind, document] : documents.others) {
    sections.push_back(kind->section());
    report[sections.back().key] = std::move(document);
  }
  options.outputs.write(report, sections, program.context().log);
  return 0;
}

}  // namespace

void add_report(Program& program) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App& verb =
      add_verb(program, program.app, "report",
               "Shows a report of `eval` again, or compares two of the same texts, paired",
               "moecollab report before.json after.json --html comparison.html");
  verb.add_option("files", options->files,
                  "A report, or an earlier and a later one; and results of `sweep`, `ablate` and "
                  "`scale` that its pages show too")
      ->type_name("FILE")
      ->required()
      ->expected(1, kMaxFiles);
  options->outputs.add_pages(verb);
  add_output(verb, program);
  verb.callback([&program, options] {
    program.action = [&program, options] { return run_report(program, *options); };
  });
}

}  // namespace moecollab::cli
