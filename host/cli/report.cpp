// The verb report: a report again as text, page or Markdown, or two of them compared.
#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "base/strings.h"
#include "cli/report_outputs.h"
#include "cli/verb.h"
#include "evaluation/report_comparison.h"

namespace moecollab::cli {
namespace {

constexpr uint64_t kMaxReport = uint64_t{256} << 20;  // bytes

struct ReportOptions {
  std::vector<fs::path> files;
  ReportOutputs outputs;
};

Json read_report(const fs::path& file) {
  const std::string bytes = read_file(file, "E_DATA", kMaxReport);
  std::string reason;
  try {
    Json report = parse_json(bytes);
    report_text(report);  // throws if it is none, or not well-formed
    return report;
  } catch (const std::exception& error) {
    reason = error.what();
  }
  throw Error("E_DATA", fmt::format("{} is no report: {}", shown(file), escaped(reason)),
              "name a file that `moecollab eval --report` of this version wrote");
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
  Json report = read_report(options.files.back());
  if (options.files.size() == 1) {
    print_result(program, report, report_text(report));
    options.outputs.write(report, evaluation::report_sections(), program.context().log);
    return 0;
  }
  const Json comparison = evaluation::compare_reports(read_report(options.files.front()), report);
  print_result(program, comparison, evaluation::comparison_text(comparison));
  report["comparison"] = comparison;
  evaluation::Sections sections = evaluation::report_sections();
  sections.push_back(evaluation::comparison_section());
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
  verb.add_option("files", options->files, "A report, or an earlier and a later one")
      ->type_name("FILE")
      ->required()
      ->expected(1, 2);
  options->outputs.add_pages(verb);
  add_output(verb, program);
  verb.callback([&program, options] {
    program.action = [&program, options] { return run_report(program, *options); };
  });
}

}  // namespace moecollab::cli
