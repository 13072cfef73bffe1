// The verb grow.
#include <fmt/format.h>

#include <memory>

#include "cli/verb.h"

namespace moecollab::cli {
namespace {

std::string domain_line(const std::string& name, const Json& d, const char* kind) {
  const double before = d["before"].get<double>(), after = d["after"].get<double>();
  return fmt::format("  {:<20} {:<4} {:>6} texts   accuracy {:.4f} -> {:.4f} ({:+.4f})\n", name,
                     kind, d["texts"].get<int64_t>(), before, after, after - before);
}

const char* what_was_found(const Json& r) {
  if (r["method"] != "fit") return "row is the prototype";
  return r["loss"].is_null() ? "shares fitted" : "row fitted";
}

std::string grow_text(const Json& r) {
  std::string names;
  for (const Json& name : r["experts"])
    names += (names.empty() ? "" : ", ") + name.get<std::string>();
  std::string text = fmt::format(
      "{}: {} on {} texts of {} and {} replayed in {:.2f} s; the gate has {} rows, guard: {}\n",
      names, what_was_found(r), r["texts"].get<int64_t>(), r["domain"].get<std::string>(),
      r["replay"].get<int64_t>(), r["fit_seconds"].get<double>(), r["rows"].get<int64_t>(),
      r["guard"].get<std::string>());
  std::string weighted;
  for (const auto& [name, weight] : r["old_weights"].items())
    weighted += fmt::format("{}{} ×{}", weighted.empty() ? "" : ", ", name, weight.get<double>());
  if (!weighted.empty())
    text += fmt::format("  fitted with more weight on domains that lost by it: {}\n", weighted);
  if (const auto by = r["lowered_by"].get<double>(); by > 0)
    text += fmt::format("  lowered by {} nats, so that the old domains keep their accuracy\n", by);
  if (!r["new_domain"].is_null())
    text += domain_line(r["domain"].get<std::string>(), r["new_domain"], "new");
  for (const auto& [name, domain] : r["old_domains"].items())
    text += domain_line(name, domain, "old");
  for (const Json& name : r["unchecked"])
    text += fmt::format("  {:<20} old  not checked: there is no replay\n", name.get<std::string>());
  return text;
}

}  // namespace

void add_grow(Program& program) {
  auto options = std::make_shared<engine::GrowOptions>();
  CLI::App& verb =
      add_verb(program, program.app, "grow",
               "Fits the gate's rows of new experts; rows of other label spaces stay as they are",
               "moecollab grow news-words --data-dir samples/data --registry build/demo/registry");
  contribution::GrowthOptions& growth = options->growth;
  verb.add_option("name", growth.names, "The new experts, of one domain")->required();
  add_count(verb, "--texts", growth.texts, "Texts of the new domain to fit on");
  verb.add_flag("--prototype", growth.prototype,
                "Train nothing: the row is the mean feature of the new domain");
  verb.add_flag("--guard", growth.guard,
                "Refuse to save if an old domain has no replay to be checked on");
  learns_from_data(verb, program, options, [&program](const auto& o) {
    const Json result = open_engine().grow(o, program.context());
    print_result(program, result, grow_text(result));
    program.suggest(fmt::format("moecollab eval --registry {} --data-dir …", o.registry.string()));
    return 0;
  });
}

}  // namespace moecollab::cli
