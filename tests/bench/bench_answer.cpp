// What one lone text costs beside the encoder's pass, stage by stage: bench_answer REGISTRY FILE
// [THREADS]. Prints microseconds per text, the texts of FILE (JSONL or lines) taken one at a time.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "base/measure.h"
#include "bench.h"
#include "pipeline/predictor.h"
#include "texts.h"

namespace moecollab {
namespace {

template <typename Call>
double microseconds(const std::vector<std::string>& texts, const Call& call) {
  for (size_t i = 0; i < std::min<size_t>(20, texts.size()); ++i) call(i);
  double best = 1e30;
  for (int round = 0; round < 5; ++round) {
    const Stopwatch watch;
    for (size_t i = 0; i < texts.size(); ++i) call(i);
    best = std::min(best, watch.seconds() / static_cast<double>(texts.size()) * 1e6);
  }
  return best;
}

// Half of the texts take less.
template <typename Call>
double median_microseconds(const std::vector<std::string>& texts, const Call& call) {
  std::vector<double> took;
  for (int round = 0; round < 5; ++round) {
    for (size_t i = 0; i < texts.size(); ++i) {
      const Stopwatch watch;
      call(i);
      took.push_back(watch.seconds() * 1e6);
    }
  }
  std::ranges::nth_element(took, took.begin() + std::ssize(took) / 2);
  return took[took.size() / 2];
}

void show(const char* stage, double value) { fmt::print("{:<44} {:8.1f} µs\n", stage, value); }

int run(const char* registry, const char* file, int threads) {
  at::set_num_threads(threads);
  const std::vector<std::string> texts = texts_of(file);
  pipeline::PoolOptions options;
  options.registry = registry;
  options.compute.threads = threads;
  pipeline::Pool pool(options);
  const pipeline::GateFile file_of_gate = pipeline::read_gate(registry);
  pipeline::Collaboration collaboration(pool, pipeline::open_gate(file_of_gate, pool),
                                        fusion::Mode::kMixture, 0);
  const auto view = [&](size_t i) { return std::vector<std::string_view>{texts[i]}; };
  const at::NoGradGuard no_grad;

  std::vector<encoder::Features> features;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto known = collaboration.recall_outputs(view(i));
    features.push_back(pipeline::features_of(pool, view(i), collaboration.request(known)));
  }
  show("what is known, what is needed", microseconds(texts, [&](size_t i) {
         collaboration.request(collaboration.recall_outputs(view(i)));
       }));
  const encoder::FeatureRequest request =
      collaboration.request(collaboration.recall_outputs(view(0)));
  const double encode =
      microseconds(texts, [&](size_t i) { pipeline::features_of(pool, view(i), request); });
  show("tokens and encoder", encode);
  show("tokens and encoder, median", median_microseconds(texts, [&](size_t i) {
         pipeline::features_of(pool, view(i), request);
       }));
  show("gate", microseconds(texts, [&](size_t i) {
         gate::routing_weights(
             collaboration.gate().router_logits(collaboration.gate().input(features[i])), 0);
       }));
  double all = 0;
  for (pipeline::InstalledExpert& expert : pool.experts()) {
    const double took = microseconds(texts, [&](size_t i) { expert.expert->forward(features[i]); });
    show(fmt::format("  expert {}", expert.name).c_str(), took);
    all += took;
  }
  show("experts", all);
  const auto answer = [&](size_t i) {
    auto routed = collaboration.route(features[i], collaboration.recall_outputs(view(i)));
    return collaboration.answer(routed);
  };
  std::vector<pipeline::Answers> answers;
  for (size_t i = 0; i < texts.size(); ++i) answers.push_back(answer(i));
  show("fusion", microseconds(texts, [&](size_t i) {
         fusion::fuse(fusion::Mode::kMixture, answers[i].weights, answers[i].logits,
                      collaboration.expert_labels(), pool.labels());
       }));
  show("gate, experts and fusion by answer()", microseconds(texts, answer));
  show("all by answer()", microseconds(texts, [&](size_t i) { collaboration.answer(view(i)); }));
  pipeline::Predictor predictor(collaboration, {});
  const double whole =
      microseconds(texts, [&](size_t i) { predictor.submit_here({texts[i]}).get(); });
  show("all by a predictor", whole);
  show("all by a predictor, median",
       median_microseconds(texts, [&](size_t i) { predictor.submit_here({texts[i]}).get(); }));
  show("beside the encoder's pass", whole - encode);
  return 0;
}

}  // namespace
}  // namespace moecollab

int main(int argc, char** argv) {
  if (argc < 3) return moecollab::usage("bench_answer REGISTRY FILE [THREADS]");
  moecollab::wait_as_the_program(argv);
  return moecollab::run(argv[1], argv[2], argc > 3 ? std::atoi(argv[3]) : 2);
}
