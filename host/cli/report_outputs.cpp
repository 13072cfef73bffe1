#include "cli/report_outputs.h"

#include <fmt/format.h>

#include <set>

#include "base/error.h"
#include "evaluation/precision_comparison.h"
#include "evaluation/report.h"

namespace moecollab::cli {

void ReportOutputs::add_pages(CLI::App& verb) {
  verb.add_option("--html", html, "Write the report as one HTML page")->type_name("FILE");
  verb.add_option("--markdown", markdown, "Write the report's tables as Markdown")
      ->type_name("FILE");
}

void ReportOutputs::require_writable_now() const {
  std::set<fs::path> files;
  for (const auto& file : {json, html, markdown}) {
    if (!file) continue;
    require_writable(*file);
    if (files.insert(fs::weakly_canonical(*file)).second) continue;
    throw Error("E_CONFIG", fmt::format("{} is named for two forms of the report", shown(*file)),
                "give each a file of its own");
  }
}

void ReportOutputs::write(const Json& report, const evaluation::Sections& sections, Log log) const {
  if (json) write_file_atomic(*json, to_text(report));
  if (html) write_file_atomic(*html, evaluation::to_html(report, sections));
  if (markdown) write_file_atomic(*markdown, evaluation::to_markdown(report, sections));
  for (const auto& file : {json, html, markdown}) {
    if (file) log.note(fmt::format("wrote {}", file->string()));
  }
}

std::string report_text(const Json& report) {
  std::string text = evaluation::terminal_table(report) + evaluation::diagnosis_text(report);
  if (report.contains("precision")) text += "\n" + evaluation::precision_text(report["precision"]);
  return text;
}

}  // namespace moecollab::cli
