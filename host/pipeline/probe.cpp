#include "pipeline/probe.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "base/fields.h"
#include "base/strings.h"

namespace moecollab::pipeline {
namespace {

constexpr double kTolerance = 1e-3;       // absolute, on logits; far above what batch shapes change
constexpr uint64_t kMaxProbe = 16 << 20;  // bytes

at::Tensor answers(experts::Expert& expert, encoder::Encoder* encoder,
                   std::span<const std::string> texts) {
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  encoder::Features features;
  if (expert.request().empty()) {
    features.texts = views;
    for (size_t i = 0; i < views.size(); ++i) features.row_ids.push_back(static_cast<int64_t>(i));
  } else {
    features = encoder->encode(views, expert.request());
  }
  return expert.forward(features);
}

}  // namespace

Json make_probe(experts::Expert& expert, encoder::Encoder* encoder,
                std::span<const std::string> texts) {
  const at::Tensor logits = answers(expert, encoder, texts);
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
  const fs::path path = package.folder / kProbeFile;
  const std::string file = escaped(path.string());
  Json json;
  try {
    json = parse_json(read_file(path, "E_REG_IO", kMaxProbe));
  } catch (const std::invalid_argument& error) {
    throw Error("E_REG_SYNTAX", fmt::format("{}: {}", file, error.what()));
  }
  Fields fields(json, {file, "E_REG_SCHEMA"});
  if (fields.required<int64_t>("schema") != 1) fields.fail("schema", "is not 1");
  const auto texts = fields.required<std::vector<std::string>>("texts");
  const double tolerance = fields.required<double>("tolerance");
  const Json rows = fields.any("logits");
  fields.finish();
  if (texts.empty() || !rows.is_array() || rows.size() != texts.size()) {
    fields.fail("logits", fmt::format("must have a row for each of the {} texts (at least one)",
                                      texts.size()));
  }
  const at::Tensor seen = answers(expert, encoder, texts);
  for (size_t i = 0; i < texts.size(); ++i) {
    if (!rows[i].is_array() || static_cast<int32_t>(rows[i].size()) != expert.classes()) {
      fields.fail("logits", fmt::format("row {} must have {} numbers", i, expert.classes()));
    }
    for (size_t c = 0; c < rows[i].size(); ++c) {
      if (!rows[i][c].is_number())
        fields.fail("logits", fmt::format("row {} must have numbers only", i));
      const double expected = rows[i][c].get<double>();
      const double got = seen.const_data_ptr<float>()[static_cast<int64_t>(i) * expert.classes() +
                                                      static_cast<int64_t>(c)];
      if (!(std::abs(expected - got) <= tolerance)) {
        throw Error(
            "E_DESC_PROBE",
            fmt::format("{}: probe text {} class {}: the package says logit {:.6g}, here it is "
                        "{:.6g} (tolerance {:g})",
                        file, i, c, expected, got, tolerance),
            "the expert was made for another encoder or library than it states; ask its author");
      }
    }
  }
  return true;
}

}  // namespace moecollab::pipeline
