#include "evaluation/precision_comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "evaluation/metrics.h"
#include "evaluation/report.h"

namespace moecollab::evaluation {
namespace {

using registry::PrecisionChange;

const std::vector<int>& answers_of(const DomainFigures& domain) {
  return domain.answer.empty() ? domain.answer_aware : domain.answer;
}

void append(std::vector<int>& all, const std::vector<int>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

PrecisionChange change_of(const PrecisionAnswers& texts) {
  const McNemar paired = mcnemar(texts.truth, texts.against, texts.answers);
  PrecisionChange change;
  change.domain = texts.domain;
  change.data = texts.data;
  change.n = static_cast<int64_t>(texts.truth.size());
  change.accuracy_against = accuracy(texts.truth, texts.against);
  change.accuracy = accuracy(texts.truth, texts.answers);
  change.fixed = paired.fixed;
  change.broke = paired.broke;
  change.z = paired.z;
  for (size_t i = 0; i < texts.answers.size(); ++i)
    change.flips += texts.answers[i] != texts.against[i] ? 1 : 0;
  return change;
}

bool is_worse(const PrecisionChange& change) { return change.z < -kZ95; }

// As counts, so that a loss of exactly the limit passes whatever binary fractions make of it.
bool loses_too_much(const PrecisionChange& all) {
  return static_cast<double>(all.broke - all.fixed) >
         kAccuracyLoss * static_cast<double>(all.n) * (1 + 1e-12);
}

Row row_of(const std::string& title, const Json& change) {
  const double z = change.at("z").get<double>();
  return {{title},
          {fmt::format("{}", change.at("n").get<int64_t>())},
          {fmt::format("{:.2f}", 100 * change.at("accuracy_against").get<double>())},
          {fmt::format("{:.2f}", 100 * change.at("accuracy").get<double>())},
          {fmt::format("{}", change.at("fixed").get<int64_t>())},
          {fmt::format("{}", change.at("broke").get<int64_t>())},
          {fmt::format("{:.2f}", z)},
          {fmt::format("{}", change.at("flips").get<int64_t>())}};
}

}  // namespace

std::vector<PrecisionAnswers> paired_answers(const std::vector<DomainFigures>& against,
                                             const std::vector<DomainFigures>& figures) {
  if (against.size() != figures.size())
    throw Error("E_INTERNAL",
                fmt::format("{} and {} domains to compare", against.size(), figures.size()));
  std::vector<PrecisionAnswers> all;
  for (size_t d = 0; d < figures.size(); ++d) {
    const DomainFigures& domain = figures[d];
    all.push_back(
        {domain.domain, domain.sha256, domain.truth, answers_of(against[d]), answers_of(domain)});
  }
  return all;
}

void compare_precisions(std::span<const PrecisionAnswers> domains,
                        std::span<const std::string> untested, registry::PrecisionRecord& record) {
  PrecisionAnswers all;
  for (const PrecisionAnswers& domain : domains) {
    append(all.truth, domain.truth);
    append(all.against, domain.against);
    append(all.answers, domain.answers);
    record.domains.push_back(change_of(domain));
  }
  record.overall = change_of(all);
  const PrecisionChange& overall = record.overall;
  if (loses_too_much(overall)) {
    record.reasons.push_back(fmt::format("accuracy falls by {:.2f} points, at most {:g} is allowed",
                                         100 * (overall.accuracy_against - overall.accuracy),
                                         100 * kAccuracyLoss));
  }
  for (const PrecisionChange& change : record.domains) {
    if (!is_worse(change)) continue;
    record.reasons.push_back(
        fmt::format("{} is significantly worse: {} answers broke, {} were fixed (z = {:.2f})",
                    escaped(change.domain, 80), change.broke, change.fixed, change.z));
  }
  for (const std::string& space : untested)
    record.reasons.push_back(fmt::format("no text of label space {}", escaped(space, 80)));
}

std::vector<std::string> untested_spaces(const Figures& figures) {
  std::vector<std::string> names;
  std::vector<int> spaces = figures.gate.space_of_expert;
  std::sort(spaces.begin(), spaces.end());
  spaces.erase(std::unique(spaces.begin(), spaces.end()), spaces.end());
  for (const int space : spaces) {
    if (std::none_of(figures.domains.begin(), figures.domains.end(),
                     [&](const DomainFigures& domain) { return domain.space == space; }))
      names.push_back(figures.labels.spaces()[static_cast<size_t>(space)].name);
  }
  return names;
}

std::string precision_text(const Json& record) {
  const auto word = [&](const char* key) { return record.at(key).get<std::string>(); };
  const auto speed = [&](const char* key) { return record.at(key).get<double>(); };
  Table table{{{"Domain"},
               {"n", true},
               {word("against"), true},
               {word("precision"), true},
               {"fixed", true},
               {"broke", true},
               {"z", true},
               {"flips", true}},
              {}};
  for (const Json& domain : record.at("domains"))
    table.rows.push_back(row_of(domain.at("domain").get<std::string>(), domain));
  table.rows.push_back(row_of("all", record.at("overall")));
  const auto reasons = record.at("reasons").get<std::vector<std::string>>();
  const std::string verdict =
      reasons.empty() ? "passes" : fmt::format("does not pass: {}", fmt::join(reasons, "; "));
  return terminal_text(table) + fmt::format("{}: {:.0f} texts/s, {}: {:.0f} texts/s; {} {}\n",
                                            word("against"), speed("texts_per_second_against"),
                                            word("precision"), speed("texts_per_second"),
                                            word("precision"), verdict);
}

}  // namespace moecollab::evaluation
