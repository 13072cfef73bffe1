#include "conformance/bottleneck_model.h"

#include <fmt/format.h>

#include <stdexcept>

#include "conformance/test_expert.h"

namespace moecollab::conformance {
namespace {

void require_size(const char* what, int64_t expected, int64_t seen) {
  if (seen != expected)
    throw std::runtime_error(fmt::format(
        "the bottleneck that describe() gives has {} {}, expected {}", seen, what, expected));
}

// W·x + b, W [rows, x.size()].
std::vector<double> affine(const float* weight, const float* bias, int64_t rows,
                           const std::vector<double>& x) {
  std::vector<double> y(bias, bias + rows);
  for (double& value : y) {
    for (const double factor : x) value += factor * *weight++;
  }
  return y;
}

}  // namespace

std::optional<BottleneckModel> BottleneckModel::of(Subject& subject, const TestExpert& expert) {
  moec_bottleneck m{};
  m.struct_size = sizeof m;
  moec_error error = empty_error();
  const moec_status status = subject.bottleneck()->describe(expert.get(), &m, &error);
  if (status == MOEC_UNSUPPORTED) return std::nullopt;
  if (status != MOEC_OK) throw CallFailed("bottleneck.describe", status, error);
  if (subject.inputs() != MOEC_INPUT_POOLED)
    throw std::runtime_error("a bottleneck reads pooled features and nothing else");
  const auto layers = static_cast<int64_t>(expert.requirements().layer_count);
  require_size("features", layers * subject.encoder().config.hidden, m.features);
  require_size("classes", subject.classes(), m.classes);
  if (m.bottleneck < 1) require_size("units", 1, m.bottleneck);
  for (const float* values :
       {m.down_weight, m.down_bias, m.up_weight, m.up_bias, m.out_weight, m.out_bias}) {
    if (values == nullptr) throw std::runtime_error("a matrix that describe() gives is NULL");
  }
  return BottleneckModel(m);
}

std::vector<double> BottleneckModel::logits(const TestBatch::Row& row) const {
  std::vector<double> h;
  for (const std::vector<float>& layer : row.pooled) h.insert(h.end(), layer.begin(), layer.end());
  std::vector<double> u = affine(model_.down_weight, model_.down_bias, model_.bottleneck, h);
  for (double& value : u) value = value < 0 ? 0 : value;
  const std::vector<double> change = affine(model_.up_weight, model_.up_bias, model_.features, u);
  for (size_t i = 0; i < h.size(); ++i) h[i] += change[i];
  return affine(model_.out_weight, model_.out_bias, model_.classes, h);
}

}  // namespace moecollab::conformance
