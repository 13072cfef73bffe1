// What a larger pool costs: bench_pool FILE BATCH TOP_K THREADS REGISTRY... takes the texts of FILE
// (JSONL or lines) BATCH at a time and prints, for each registry, microseconds per batch of the
// encoder's pass with the gate's features alone and of the whole answer. All registries take turns.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <deque>

#include "base/measure.h"
#include "bench.h"
#include "pipeline/collaboration.h"
#include "texts.h"

namespace moecollab {
namespace {

using Texts = std::vector<std::string_view>;

class Subject {
 public:
  Subject(const char* registry, int threads, int64_t top_k)
      : pool_(options(registry, threads)),
        collaboration_(pool_, pipeline::open_gate(pipeline::read_gate(pool_), pool_),
                       fusion::Mode::kMixture, top_k) {
    const gate::Gate& gate = collaboration_.gate();
    encoder_alone_.pooled.insert(gate.features.begin(), gate.features.end());
  }

  void encode(const Texts& batch) { pipeline::features_of(pool_, batch, encoder_alone_); }
  void answer(const Texts& batch) { collaboration_.answer(batch); }
  size_t experts() { return pool_.experts().size(); }

  double encoding = 1e30, answering = 1e30;  // microseconds per batch, the least of all rounds

 private:
  static pipeline::PoolOptions options(const char* registry, int threads) {
    pipeline::PoolOptions options;
    options.registry = registry;
    options.compute.threads = threads;
    return options;
  }

  pipeline::Pool pool_;
  pipeline::Collaboration collaboration_;
  encoder::FeatureRequest encoder_alone_;
};

template <typename Call>
void time(const std::vector<Texts>& batches, double& least, const Call& call) {
  const Stopwatch watch;
  for (const Texts& batch : batches) call(batch);
  least = std::min(least, watch.seconds() / static_cast<double>(batches.size()) * 1e6);
}

int run(const char* file, int64_t size, int64_t top_k, int threads, std::span<char*> registries) {
  at::set_num_threads(threads);
  const at::NoGradGuard no_grad;
  const std::vector<std::string> texts = texts_of(file);
  std::vector<Texts> batches;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i % static_cast<size_t>(size) == 0) batches.emplace_back();
    batches.back().emplace_back(texts[i]);
  }
  std::deque<Subject> subjects;
  for (const char* registry : registries) subjects.emplace_back(registry, threads, top_k);
  for (int round = 0; round < 8; ++round) {
    for (Subject& subject : subjects) {
      time(batches, subject.encoding, [&](const Texts& batch) { subject.encode(batch); });
      time(batches, subject.answering, [&](const Texts& batch) { subject.answer(batch); });
    }
  }
  for (Subject& s : subjects) {
    fmt::print(
        "batch {}, top-k {}, {:>3} experts: encoder {:9.1f} µs, answer {:9.1f} µs, {:.3f} of "
        "the encoder's, {:.3f} of the first pool's\n",
        size, top_k, s.experts(), s.encoding, s.answering, s.answering / s.encoding,
        s.answering / subjects.front().answering);
  }
  return 0;
}

}  // namespace
}  // namespace moecollab

int main(int argc, char** argv) {
  if (argc < 6) return moecollab::usage("bench_pool FILE BATCH TOP_K THREADS REGISTRY...");
  moecollab::wait_as_the_program(argv);
  return moecollab::run(argv[1], std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4]),
                        std::span(argv + 5, static_cast<size_t>(argc - 5)));
}
