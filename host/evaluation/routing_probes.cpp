#include "evaluation/routing_probes.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "evaluation/gate_usage.h"

namespace moecollab::evaluation {
namespace {

constexpr size_t kTextsOfDomain = 32;

std::vector<std::string_view> views_of(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

// The label space of the greatest mass of each text.
std::vector<int> spaces_of(const at::Tensor& shares, const std::vector<int>& space_of_expert) {
  const int spaces = *std::ranges::max_element(space_of_expert) + 1;
  return argmax_rows(space_mass(encoder::to_doubles(shares), space_of_expert, spaces), spaces);
}

double differing(const std::vector<int>& a, const std::vector<int>& b) {
  int64_t count = 0;
  for (size_t i = 0; i < a.size(); ++i) count += a[i] == b[i] ? 0 : 1;
  return static_cast<double>(count) / static_cast<double>(a.size());
}

// The longest run of ASCII letters, as first and end.
std::pair<size_t, size_t> longest_word(const std::string& text) {
  std::pair<size_t, size_t> longest{0, 0};
  for (size_t first = 0; first < text.size();) {
    size_t end = first;
    while (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end])) != 0) ++end;
    if (end - first > longest.second - longest.first) longest = {first, end};
    first = end + 1;
  }
  return longest;
}

}  // namespace

std::vector<std::string> near_duplicates(const std::string& text) {
  std::string stop = text, typo = text;
  if (text.ends_with('.') && text.size() > 1) {
    stop.pop_back();
  } else {
    stop += '.';
  }
  const auto [first, end] = longest_word(text);
  if (end - first >= 4) std::swap(typo[(first + end) / 2 - 1], typo[(first + end) / 2]);
  return {stop, typo};
}

RoutingProbes probe_routing(const std::vector<std::string>& texts,
                            const std::vector<int>& space_of_expert, const Router& router) {
  const at::NoGradGuard no_grad;
  RoutingProbes probes;
  probes.texts = std::ssize(texts);
  const std::vector<std::string_view> views = views_of(texts);
  const at::Tensor together = router(views);
  std::vector<at::Tensor> alone;
  for (const std::string_view& text : views) alone.push_back(router(std::span(&text, 1)));
  const at::Tensor single = at::cat(alone);
  const std::vector<int> spaces = spaces_of(together, space_of_expert);
  probes.batch_change = (single - together).abs().max().item<double>();
  probes.batch_moved = differing(spaces, spaces_of(single, space_of_expert));
  std::vector<std::string> edited;
  std::vector<int> before;
  for (size_t i = 0; i < texts.size(); ++i) {
    for (const std::string& one : near_duplicates(texts[i])) {
      edited.push_back(one);
      before.push_back(spaces[i]);
    }
  }
  probes.edits = std::ssize(edited);
  probes.edits_moved = differing(before, spaces_of(router(views_of(edited)), space_of_expert));
  return probes;
}

RoutingProbes probe_routing(pipeline::Collaboration& collaboration,
                            const std::vector<data::Dataset>& datasets) {
  std::vector<std::string> texts;
  for (const data::Dataset& dataset : datasets) {
    const size_t n = dataset.examples.size(), taken = std::min(n, kTextsOfDomain);
    for (size_t i = 0; i < taken; ++i) texts.push_back(dataset.examples[i * n / taken].text);
  }
  const pipeline::Pool& pool = collaboration.pool();
  encoder::Encoder encoder(pool.encoder()->settings(), pool.options().compute,
                           pool.options().batch_tokens, nullptr, pool.context());
  const gate::Gate& gate = collaboration.gate();
  encoder::FeatureRequest request;
  request.pooled.insert(gate.features.begin(), gate.features.end());
  std::vector<int> spaces;
  for (const fusion::ExpertLabels& labels : collaboration.expert_labels())
    spaces.push_back(labels.space);
  return probe_routing(texts, spaces, [&](std::span<const std::string_view> some) {
    return at::softmax(gate.router_logits(gate.input(encoder.encode(some, request))), 1);
  });
}

}  // namespace moecollab::evaluation
