// The files that a report is written to.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "base/files.h"
#include "base/json.h"
#include "base/run_context.h"
#include "evaluation/report_sections.h"

namespace moecollab::cli {

struct ReportOutputs {
  std::optional<fs::path> json, html, markdown;

  // --html and --markdown.
  void add_pages(CLI::App& verb);
  // Throws E_WRITE for a file that cannot be written, E_CONFIG for one that is named twice.
  void require_writable_now() const;
  void write(const Json& report, const evaluation::Sections& sections, Log log) const;
};

// What a terminal shows of a report.
std::string report_text(const Json& report);

}  // namespace moecollab::cli
