#include "pipeline/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/fields.h"
#include "base/strings.h"

namespace moecollab::pipeline {
namespace {

constexpr double kTolerance = 1e-3;       // absolute, on logits; far above what batch shapes change
constexpr uint64_t kMaxProbe = 16 << 20;  // bytes

// Borrows `views`.
encoder::Features features_of(const experts::Expert& expert, encoder::Encoder* encoder,
                              const std::vector<std::string_view>& views) {
  if (!expert.request().empty()) return encoder->encode(views, expert.request());
  encoder::Features features;
  features.texts = views;
  for (size_t i = 0; i < views.size(); ++i) features.row_ids.push_back(static_cast<int64_t>(i));
  return features;
}

// What a package's probe.json says.
struct Probe {
  std::string file;  // for messages
  std::vector<std::string> texts;
  std::vector<std::vector<double>> logits;
  double tolerance = 0;
};

Probe read_probe(const fs::path& path, int32_t classes) {
  Probe probe;
  probe.file = escaped(path.string());
  Json json;
  try {
    json = parse_json(read_file(path, "E_REG_IO", kMaxProbe));
  } catch (const std::invalid_argument& error) {
    throw Error("E_REG_SYNTAX", fmt::format("{}: {}", probe.file, error.what()));
  }
  Fields fields(json, {probe.file, "E_REG_SCHEMA"});
  if (fields.required<int64_t>("schema") != 1) fields.fail("schema", "is not 1");
  probe.texts = fields.required<std::vector<std::string>>("texts");
  probe.tolerance = fields.required<double>("tolerance");
  const Json rows = fields.any("logits");
  fields.finish();
  if (probe.texts.empty() || !rows.is_array() || rows.size() != probe.texts.size()) {
    fields.fail("logits", fmt::format("must have a row for each of the {} texts (at least one)",
                                      probe.texts.size()));
  }
  for (const Json& row : rows) {
    const size_t i = probe.logits.size();
    if (!row.is_array() || static_cast<int32_t>(row.size()) != classes)
      fields.fail("logits", fmt::format("row {} must have {} numbers", i, classes));
    if (!std::ranges::all_of(row, [](const Json& value) { return value.is_number(); }))
      fields.fail("logits", fmt::format("row {} must have numbers only", i));
    probe.logits.push_back(row.get<std::vector<double>>());
  }
  return probe;
}

void compare(const Probe& probe, const at::Tensor& seen, const char* by) {
  const auto logit = seen.accessor<float, 2>();
  for (int64_t i = 0; i < seen.size(0); ++i) {
    for (int64_t c = 0; c < seen.size(1); ++c) {
      const double expected = probe.logits[static_cast<size_t>(i)][static_cast<size_t>(c)];
      if (std::abs(expected - logit[i][c]) <= probe.tolerance) continue;
      throw Error(
          "E_DESC_PROBE",
          fmt::format("{}: probe text {} class {}: the package says logit {:.6g}, here {} gives "
                      "{:.6g} (tolerance {:g})",
                      probe.file, i, c, expected, by, logit[i][c], probe.tolerance),
          "the expert was made for another encoder or library than it states; ask its author");
    }
  }
}

}  // namespace

Json make_probe(experts::Expert& expert, encoder::Encoder* encoder,
                std::span<const std::string> texts) {
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const at::Tensor logits = expert.forward(features_of(expert, encoder, views));
  Json rows = Json::array();
  for (int64_t i = 0; i < logits.size(0); ++i) {
    const float* row = logits.const_data_ptr<float>() + i * logits.size(1);
    rows.push_back(std::vector<float>(row, row + logits.size(1)));
  }
  return {{"schema", 1}, {"texts", texts}, {"logits", rows}, {"tolerance", kTolerance}};
}

bool check_probe(const registry::Package& package, experts::Expert& expert,
                 encoder::Encoder* encoder) {
  if (!package.manifest.files.contains(kProbeFile)) return false;
  const Probe probe = read_probe(package.folder / kProbeFile, expert.classes());
  const std::vector<std::string_view> views(probe.texts.begin(), probe.texts.end());
  const encoder::Features features = features_of(expert, encoder, views);
  compare(probe, expert.forward_by_library(features), "the library");
  if (expert.is_host_code()) {
    compare(probe, expert.forward(features), "the host, by the extension of the library,");
  }
  return true;
}

}  // namespace moecollab::pipeline
