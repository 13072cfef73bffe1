#include "evaluation/report_comparison.h"

#include <fmt/format.h>

#include <cmath>
#include <set>

#include "base/error.h"
#include "base/strings.h"
#include "evaluation/metrics.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

// Texts that both answered, and how.
struct Counts {
  int64_t n = 0, right_before = 0, right_after = 0, fixed = 0, broke = 0;

  void add(const Counts& other) {
    n += other.n;
    right_before += other.right_before;
    right_after += other.right_after;
    fixed += other.fixed;
    broke += other.broke;
  }
};

Json number_or_null(std::optional<double> value) { return value ? number(*value) : Json(nullptr); }

// Whether both, or neither, know the domain of a text.
bool are_judged_alike(const Json& a, const Json& b, const std::string& domain) {
  return number_at(a, {"domains", domain, "moe", "accuracy"}).has_value() ==
         number_at(b, {"domains", domain, "moe", "accuracy"}).has_value();
}

// The domain's texts in both, or why they cannot be paired.
std::string pair_up(const Json& a, const Json& b, const std::string& domain, Counts& counts) {
  const auto data_a = text_at(a, {"provenance", "data", domain});
  const auto data_b = text_at(b, {"provenance", "data", domain});
  if (!data_a || !data_b || *data_a != *data_b) return "they are of other files";
  const auto right_a = text_at(a, {"domains", domain, "right"});
  const auto right_b = text_at(b, {"domains", domain, "right"});
  if (!right_a || !right_b) return "one does not say which texts were answered right";
  if (right_a->size() != right_b->size())
    return fmt::format("they have {} and {} texts of one file", right_a->size(), right_b->size());
  if (!are_judged_alike(a, b, domain)) return "one answers within the domain's own labels alone";
  counts.n = static_cast<int64_t>(right_a->size());
  for (size_t i = 0; i < right_a->size(); ++i) {
    const bool before = (*right_a)[i] == '1', after = (*right_b)[i] == '1';
    counts.right_before += before ? 1 : 0;
    counts.right_after += after ? 1 : 0;
    counts.fixed += after && !before ? 1 : 0;
    counts.broke += before && !after ? 1 : 0;
  }
  return "";
}

Json paired_json(const Counts& counts) {
  const auto n = static_cast<double>(counts.n);
  const Interval interval = change_interval(counts.fixed, counts.broke, counts.n);
  const auto differing = static_cast<double>(counts.fixed + counts.broke);
  const double z =
      differing > 0 ? static_cast<double>(counts.fixed - counts.broke) / std::sqrt(differing) : 0;
  return {{"n", counts.n},
          {"before", static_cast<double>(counts.right_before) / n},
          {"after", static_cast<double>(counts.right_after) / n},
          {"change", static_cast<double>(counts.fixed - counts.broke) / n},
          {"interval", {interval.low, interval.high}},
          {"z", z},
          {"fixed", counts.fixed},
          {"broke", counts.broke}};
}

// The accuracy that a report judges a domain by.
std::optional<double> accuracy_of(const Json& report, const std::string& domain) {
  const auto agnostic = number_at(report, {"domains", domain, "moe", "accuracy"});
  return agnostic ? agnostic : number_at(report, {"domains", domain, "moe", "accuracy_task_aware"});
}

Json unpaired_json(const Json& a, const Json& b, const std::string& domain) {
  const auto before = accuracy_of(a, domain), after = accuracy_of(b, domain);
  return {{"n", number_or_null(number_at(b, {"domains", domain, "n"}))},
          {"before", number_or_null(before)},
          {"after", number_or_null(after)},
          {"change", before && after && are_judged_alike(a, b, domain) ? number(*after - *before)
                                                                       : Json(nullptr)},
          {"interval", nullptr},
          {"z", nullptr},
          {"fixed", nullptr},
          {"broke", nullptr}};
}

Json about(const Json& report) {
  Json json = Json::object();
  for (const char* key : {"version", "command", "registry_lock_sha256"})
    json[key] = value_at(report, {"provenance", key});
  json["fusion"] = value_at(report, {"gate", "fusion"});
  json["top_k"] = value_at(report, {"gate", "top_k"});
  return json;
}

Json names_without(const Json& of, const Json& others) {
  Json names = Json::array();
  for (const auto& [domain, unused] : object_at(of, {"domains"}).items())
    if (!object_at(others, {"domains"}).contains(domain)) names.push_back(domain);
  return names;
}

Row row_of(const std::string& name, const Json& change) {
  const Json& bounds = array_at(change, {"interval"});
  const std::string interval =
      bounds.size() == 2
          ? fmt::format("{:+.3f} to {:+.3f}", bounds[0].get<double>(), bounds[1].get<double>())
          : kNoValue;
  const auto moved = number_at(change, {"change"});
  const auto z = number_at(change, {"z"});
  return {{name},
          {score(number_at(change, {"before"}))},
          {score(number_at(change, {"after"}))},
          {moved ? fmt::format("{:+.3f}", *moved) : kNoValue,
           "",
           {},
           z && std::abs(*z) >= kZ95 ? Tone::kStrong : Tone::kPlain},
          {interval},
          {z ? fmt::format("{:+.2f}", *z) : kNoValue},
          {count(number_at(change, {"fixed"}))},
          {count(number_at(change, {"broke"}))},
          {decimal(number_at(change, {"macro_f1_before"}), 3)},
          {decimal(number_at(change, {"macro_f1_after"}), 3)},
          {count(number_at(change, {"n"}))}};
}

Table table_of(const Json& comparison) {
  Table table{{{"Domain"},
               {"Before", true},
               {"After", true},
               {"Change", true},
               {"95 %", true},
               {"z", true},
               {"Fixed", true},
               {"Broke", true},
               {"Macro-F1", true},
               {"after", true},
               {"n", true}},
              {}};
  for (const auto& [domain, change] : object_at(comparison, {"domains"}).items())
    table.rows.push_back(row_of(domain, change));
  if (value_at(comparison, {"overall"}).is_object() && !table.rows.empty())
    table.rows.push_back(row_of("all", comparison["overall"]));
  return table;
}

Content changes(const Json& report) {
  return report.contains("comparison") ? table_of(report["comparison"]) : Table{};
}

constexpr Part kComparisonParts[] = {
    {"Against the earlier report",
     "Accuracy on the same texts: a change, its 95 % interval and McNemar’s z, which is "
     "significant "
     "beyond ±1.96; texts that only the later one (fixed) or only the earlier one (broke) answers "
     "right.",
     &changes,
     {.markdown = 5, .html = 5}}};

}  // namespace

Json compare_reports(const Json& a, const Json& b) {
  require_report(a);
  require_report(b);
  Json domains = Json::object(), unpaired = Json::object();
  Counts all;
  for (const auto& [domain, unused] : object_at(b, {"domains"}).items()) {
    if (!object_at(a, {"domains"}).contains(domain)) continue;
    Counts counts;
    const std::string why = pair_up(a, b, domain, counts);
    const bool is_paired = why.empty() && counts.n > 0;
    Json change = is_paired ? paired_json(counts) : unpaired_json(a, b, domain);
    change["macro_f1_before"] = value_at(a, {"domains", domain, "moe", "macro_f1"});
    change["macro_f1_after"] = value_at(b, {"domains", domain, "moe", "macro_f1"});
    domains[domain] = std::move(change);
    if (is_paired) {
      all.add(counts);
    } else {
      unpaired[domain] = why.empty() ? "there are no texts" : why;
    }
  }
  if (domains.empty())
    throw Error("E_DATA", "the two reports have no domain in common",
                "compare reports of the same texts");
  return {{"schema", kComparisonSchema},
          {"before", about(a)},
          {"after", about(b)},
          {"domains", domains},
          {"overall", all.n > 0 ? paired_json(all) : Json(nullptr)},
          {"unpaired", unpaired},
          {"only_before", names_without(a, b)},
          {"only_after", names_without(b, a)}};
}

std::string comparison_text(const Json& comparison) {
  std::string text = terminal_text(table_of(comparison));
  for (const auto& [domain, why] : object_at(comparison, {"unpaired"}).items())
    text += fmt::format("{} is not paired: {}\n", escaped(domain), text_or_none(text_at(why, {})));
  for (const auto& [key, which] : {std::pair{"only_before", "earlier"}, {"only_after", "later"}}) {
    const Json& names = array_at(comparison, {key});
    if (!names.empty()) text += fmt::format("only in the {} report: {}\n", which, list(names));
  }
  return text;
}

Section comparison_section() { return {"comparison", nullptr, kComparisonParts}; }

}  // namespace moecollab::evaluation
