#include "pipeline/encoded_texts.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <set>

namespace moecollab::pipeline {
namespace {

// Where `rows` stand among `all`; both ascending.
std::vector<int64_t> positions(const std::vector<int64_t>& all, std::span<const int64_t> rows) {
  std::vector<int64_t> found;
  auto at = all.begin();
  for (const int64_t row : rows) {
    at = std::lower_bound(at, all.end(), row);
    found.push_back(at - all.begin());
  }
  return found;
}

}  // namespace

EncodedTexts::EncodedTexts(encoder::Features all) {
  std::vector<int64_t> rows(all.texts.size());
  std::iota(rows.begin(), rows.end(), 0);
  steps_.push_back({std::move(rows), std::move(all)});
}

void EncodedTexts::deepen(encoder::Encoder& encoder, std::span<const Reader> readers,
                          std::string_view progress_label) {
  std::set<int> depths;
  for (const Reader& reader : readers) depths.insert(reader.request->depth());
  for (const int depth : depths) {
    encoder::FeatureRequest request;
    std::vector<int64_t> rows;
    for (const Reader& reader : readers) {
      if (reader.request->depth() < depth) continue;
      request.merge(reader.request->up_to(depth));
      std::vector<int64_t> joined;
      std::set_union(rows.begin(), rows.end(), reader.rows.begin(), reader.rows.end(),
                     std::back_inserter(joined));
      rows = std::move(joined);
    }
    if (depth != *depths.rbegin()) request.stop_at = depth;
    Step& before = steps_.back();
    encoder::Features deeper =
        encoder.deepen(before.features, positions(before.rows, rows), request, progress_label);
    before.features.stopped.reset();
    steps_.push_back({std::move(rows), std::move(deeper)});
  }
}

encoder::Features EncodedTexts::select(const encoder::FeatureRequest& request,
                                       std::span<const int64_t> rows) const {
  auto step = std::ranges::find_if(
      steps_, [&](const Step& candidate) { return candidate.features.holds(request); });
  if (step == steps_.end()) --step;
  if (rows.size() == step->rows.size()) return step->features;
  return step->features.select(positions(step->rows, rows));
}

}  // namespace moecollab::pipeline
