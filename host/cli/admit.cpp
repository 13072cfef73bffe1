// The verb admit.
#include <fmt/format.h>

#include <memory>

#include "cli/verb.h"

namespace moecollab::cli {
namespace {

std::string change_line(const char* what, const Json& c) {
  if (c.is_null()) return fmt::format("  {:<16} not judged\n", what);
  return fmt::format(
      "  {:<16} {:.4f} -> {:.4f} ({:+.4f}, 95 % from {:+.4f} to {:+.4f}), z {:+.2f}, "
      "{} texts\n",
      what, c["before"].get<double>(), c["after"].get<double>(), c["change"].get<double>(),
      c["low"].get<double>(), c["high"].get<double>(), c["z"].get<double>(), c["n"].get<int64_t>());
}

std::string admit_text(const Json& r) {
  std::string verdict = r["verdict"].get<std::string>();
  if (r["texts_needed"].is_number())
    verdict += fmt::format(": needs about {} texts", r["texts_needed"].get<int64_t>());
  std::string text = fmt::format("{} {}: {}\n", r["candidate"]["name"].get<std::string>(),
                                 r["candidate"]["version"].get<std::string>(), verdict);
  for (const Json& reason : r["reasons"])
    text += fmt::format("  because {}\n", reason.get<std::string>());
  text += change_line("equal shares", r["forced_share"]);
  text += change_line("fitted gate", r["fitted_gate"]);
  text += fmt::format(
      "  {:<16} {:.4f} alone, majority class {:.4f}, {} texts of {}\n", "own domain",
      r["own_domain"]["accuracy"].get<double>(), r["own_domain"]["majority"].get<double>(),
      r["own_domain"]["n"].get<int64_t>(), r["candidate"]["domain"].get<std::string>());
  for (const Json& c : r["contributions"]) {
    if (!c["candidate"].get<bool>()) continue;
    text += fmt::format("  {:<16} leave-one-out {:+.4f}, Shapley value {:+.4f}\n", "contribution",
                        c["leave_one_out"].get<double>(), c["shapley"].get<double>());
  }
  if (r.contains("probation"))
    text += fmt::format("  {:<16} {}\n", "probation", r["probation"].get<std::string>());
  return text + fmt::format("  judged on {}; wrote {}\n", r["split"].get<std::string>(),
                            r["file"].get<std::string>());
}

int status_of(const std::string& verdict) {
  if (verdict == "admit") return 0;
  return verdict == "refuse" ? 5 : 6;
}

}  // namespace

void add_admit(Program& program) {
  auto options = std::make_shared<engine::AdmitOptions>();
  CLI::App& verb =
      add_verb(program, program.app, "admit",
               "Judges a package against the installed experts, without installing it, or ends the "
               "probation of an installed one; exit 0 admitted, 5 refused, 6 undecided",
               "moecollab admit ./legal-clauses.package --data-dir samples/data --registry "
               "build/demo/registry");
  verb.add_option("package", options->package,
                  "Package folder, FILE.moec, or the name of an expert on probation")
      ->type_name("PATH")
      ->required();
  add_count(verb, "--texts", options->admission.texts,
            "Texts of its domain to fit its row of the gate on, for that comparison");
  add_count(verb, "--permutations", options->admission.permutations,
            "Orders of the Shapley sampling");
  learns_from_data(verb, program, options, [&program](const auto& o) {
    const Json result = open_engine().admit(o, program.context());
    print_result(program, result, admit_text(result));
    return status_of(result["verdict"].get<std::string>());
  });
}

}  // namespace moecollab::cli
