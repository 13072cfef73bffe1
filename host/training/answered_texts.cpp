#include "training/answered_texts.h"

#include <algorithm>

#include "encoder/features.h"

namespace moecollab::training {
namespace {

at::Tensor selected(const at::Tensor& all, const at::Tensor& index) {
  return all.defined() ? all.index_select(0, index) : all;
}

at::Tensor joined(const at::Tensor& a, const at::Tensor& b) {
  return a.defined() && b.defined() ? at::cat({a, b}) : at::Tensor();
}

}  // namespace

int index_among(std::vector<std::string>& names, const std::string& name) {
  const auto it = std::find(names.begin(), names.end(), name);
  if (it != names.end()) return static_cast<int>(it - names.begin());
  names.push_back(name);
  return static_cast<int>(names.size()) - 1;
}

int AnsweredTexts::index_of(const std::string& domain) const {
  const auto it = std::find(domains.begin(), domains.end(), domain);
  return it == domains.end() ? -1 : static_cast<int>(it - domains.begin());
}

at::Tensor AnsweredTexts::rows_of(int domain) const {
  std::vector<int64_t> rows;
  for (size_t i = 0; i < domain_of.size(); ++i) {
    if (domain_of[i] == domain) rows.push_back(static_cast<int64_t>(i));
  }
  return encoder::index_tensor(rows);
}

AnsweredTexts AnsweredTexts::select(const at::Tensor& index) const {
  AnsweredTexts out{
      selected(z, index), selected(targets, index), selected(spaces, index), domains, {}, {}, seen};
  for (int64_t i = 0; !domain_of.empty() && i < index.numel(); ++i)
    out.domain_of.push_back(domain_of[static_cast<size_t>(index[i].item<int64_t>())]);
  for (const at::Tensor& all : logits) out.logits.push_back(selected(all, index));
  return out;
}

AnsweredTexts joined(const AnsweredTexts& a, const AnsweredTexts& b) {
  if (b.rows() == 0) return a;
  if (a.rows() == 0) return b;
  AnsweredTexts out = a;
  out.z = joined(a.z, b.z);
  out.targets = joined(a.targets, b.targets);
  out.spaces = joined(a.spaces, b.spaces);
  for (size_t e = 0; e < out.logits.size(); ++e) out.logits[e] = joined(a.logits[e], b.logits[e]);
  for (size_t e = 0; e < out.seen.size(); ++e) out.seen[e] += b.seen[e];
  for (const int domain : b.domain_of)
    out.domain_of.push_back(index_among(out.domains, b.domains[static_cast<size_t>(domain)]));
  return out;
}

at::Tensor right_alone(const AnsweredTexts& texts, size_t e, const fusion::ExpertLabels& labels) {
  return fusion::label_columns(labels).index_select(0, texts.logits[e].argmax(1)).eq(texts.targets);
}

}  // namespace moecollab::training
