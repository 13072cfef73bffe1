#include "scale/costs.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <deque>
#include <limits>
#include <memory>
#include <span>

#include "base/measure.h"
#include "pipeline/collaboration.h"
#include "pipeline/gate_file.h"

namespace moecollab::scale {
namespace {

using Texts = std::span<const std::string_view>;

constexpr size_t kBatch = 32;
constexpr int64_t kTwo = 2;
constexpr int kLoads = 3;

// How texts arrive, and what a round of it took at best.
struct Arrival {
  size_t batch;
  int64_t top_k;                                           // 0: all
  double least = std::numeric_limits<double>::infinity();  // seconds per batch
};

class Subject {
 public:
  Subject(const fs::path& registry, pipeline::PoolOptions open, Texts texts) : texts_(texts) {
    open.registry = registry;
    open.cache = nullptr;
    load_seconds_ = least_seconds(kLoads, [&open] { pipeline::Pool loaded(open); });
    memory_ = grown([&] { pool_ = std::make_unique<pipeline::Pool>(open); });
    for (const Arrival& arrival : arrivals_) {
      collaborations_.emplace_back(*pool_, pipeline::open_gate(pipeline::read_gate(*pool_), *pool_),
                                   fusion::Mode::kMixture,
                                   std::min(arrival.top_k, std::ssize(pool_->experts())));
    }
    pool_->encoder()->load();
    memory_ += grown([&] { collaborations_.front().answer(texts_.first(kBatch)); });
  }

  void take_turn() {
    for (size_t way = 0; way < arrivals_.size(); ++way) {
      Arrival& arrival = arrivals_[way];
      const size_t batches = texts_.size() / arrival.batch;
      const Stopwatch watch;
      for (size_t i = 0; i < batches; ++i)
        collaborations_[way].answer(texts_.subspan(i * arrival.batch, arrival.batch));
      arrival.least = std::min(arrival.least, watch.seconds() / static_cast<double>(batches));
    }
  }

  Json json() const {
    Json json = {{"experts", pool_->experts().size()},
                 {"load_seconds", load_seconds_},
                 {"memory_bytes", memory_}};
    for (const Arrival& arrival : arrivals_) {
      json[fmt::format("batch_{}_ms", arrival.batch)] = arrival.least * 1e3;
      json[fmt::format("flops_{}", arrival.batch)] = operations(arrival.top_k);
    }
    return json;
  }

 private:
  // What was freed before would be taken again unseen.
  template <typename Call>
  static int64_t grown(const Call& call) {
    ::malloc_trim(0);
    const int64_t before = resident_bytes();
    call();
    return std::max(int64_t{0}, resident_bytes() - before);
  }

  // Mean per text, as the report counts them; of k experts, k times those of the mean one.
  double operations(int64_t top_k) const {
    const std::vector<pipeline::InstalledExpert>& experts = pool_->experts();
    const auto count = static_cast<double>(experts.size());
    const double asked = top_k == 0 ? 1.0 : std::min(1.0, static_cast<double>(top_k) / count);
    double sum = 0;
    const encoder::TextLengths lengths = pool_->encoder()->lengths(texts_);
    for (const int32_t length : lengths.tokens) {
      sum += static_cast<double>(pool_->encoder()->flops(length));
      for (const pipeline::InstalledExpert& expert : experts)
        sum += asked * expert.expert->flops().of(length);
    }
    return sum / static_cast<double>(texts_.size()) +
           static_cast<double>(collaborations_.front().gate().flops_per_text());
  }

  Texts texts_;
  std::unique_ptr<pipeline::Pool> pool_;
  std::deque<pipeline::Collaboration> collaborations_;
  std::array<Arrival, 2> arrivals_ = {Arrival{kBatch, 0}, Arrival{1, kTwo}};
  double load_seconds_ = 0;
  int64_t memory_ = 0;
};

}  // namespace

Json costs(const std::vector<fs::path>& registries, const std::vector<std::string>& texts,
           int rounds, const pipeline::PoolOptions& open) {
  const at::NoGradGuard no_grad;
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::deque<Subject> subjects;
  Progress progress = open.context.progress("timing pools", "round", rounds);
  for (const fs::path& registry : registries) subjects.emplace_back(registry, open, views);
  for (int round = 0; round < rounds; ++round) {
    for (Subject& subject : subjects) {
      open.context.stop.throw_if_requested("stopped while pools were timed");
      subject.take_turn();
    }
    progress.advance();
  }
  Json all = Json::array();
  for (const Subject& subject : subjects) {
    Json pool = subject.json();
    for (const char* key : {"batch_32_ms", "flops_32", "batch_1_ms", "flops_1"}) {
      const double first = (all.empty() ? pool : all[0])[key].get<double>();
      pool[std::string(key) + "_ratio"] = pool[key].get<double>() / first;
    }
    all.push_back(std::move(pool));
  }
  return all;
}

}  // namespace moecollab::scale
