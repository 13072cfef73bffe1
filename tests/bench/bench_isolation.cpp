// What a process of its own costs an expert: bench_isolation ENCODER. Calls of 32 texts of 64
// tokens beside the encoder's pass over them, starts, deaths and hangs.
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <functional>
#include <thread>

#include "base/measure.h"
#include "bench.h"
#include "encoder/encoder.h"
#include "experts/in_process_expert.h"
#include "worker/remote_expert.h"

namespace moecollab::worker {
namespace {

constexpr int kRows = 32;

double best_of(int times, const std::function<void()>& work) {
  double best = 1e9;
  for (int i = 0; i < times; ++i) {
    const Stopwatch watch;
    work();
    best = std::min(best, watch.seconds());
  }
  return best;
}

// A kind of expert with made-up weights, in this process and in its own.
struct Pair {
  Pair(const std::string& name, uint32_t inputs, const Json& config, encoder::Encoder& encoder) {
    const fs::path library =
        fs::path(MOECOLLAB_PLUGIN_FOLDER) / name / fmt::format("lib{}.so", name);
    bytes = read_file(library, "E_TEST");
    setup.name = name;
    setup.classes = 6;
    setup.inputs = inputs;
    setup.encoder = &encoder.config();
    setup.encoder_weights = &encoder;
    setup.max_length = encoder.max_length();
    setup.compute.threads = at::get_num_threads();
    setup.config = config;
    if (inputs & MOEC_INPUT_POOLED) setup.pooling = encoder::Pooling::kMean;
    if (inputs & (MOEC_INPUT_POOLED | MOEC_INPUT_HIDDEN))
      setup.layers = {static_cast<int32_t>(encoder.config().layers)};
    if (inputs & MOEC_INPUT_HIDDEN)
      setup.layers = {static_cast<int32_t>(encoder.config().layers) - 1};
    auto teacher = in_process();
    teacher->bind(1);
    setup.weights = teacher->learnt();
  }
  std::unique_ptr<experts::Expert> in_process() const {
    return std::make_unique<experts::InProcessExpert>(
        experts::Library::load(bytes, sha256_hex(bytes), setup.name, true), setup);
  }
  std::unique_ptr<RemoteExpert> remote() const {
    return std::make_unique<RemoteExpert>(experts::SealedLibrary(bytes, setup.name, true),
                                          std::vector<std::string>(), setup, ProcessLimits{});
  }

  std::string bytes;
  experts::ExpertSetup setup;
};

void compare(const Pair& pair, encoder::Encoder& encoder,
             const std::vector<std::string_view>& texts) {
  const auto here = pair.in_process();
  const auto there = pair.remote();
  const encoder::Features rows = encoder.encode(texts, here->request());
  encoder::FeatureRequest all = here->request();
  all.pooled.insert({static_cast<int>(encoder.config().layers), encoder::Pooling::kMean});
  const double pass = best_of(10, [&] { encoder.encode(texts, all); });
  const double mine = best_of(200, [&] { here->forward_by_library(rows); });
  const double theirs = best_of(200, [&] { there->forward_by_library(rows); });
  fmt::print(
      "{:<13} {:8.3f} ms here, {:8.3f} ms in its own process: {:+.3f} ms, {:.2f} % of the "
      "encoder's {:.1f} ms\n",
      pair.setup.name, mine * 1e3, theirs * 1e3, (theirs - mine) * 1e3,
      (theirs - mine) / pass * 100, pass * 1e3);
  const double start = best_of(3, [&] {
    std::vector<std::unique_ptr<RemoteExpert>> eight(8);
    std::vector<std::thread> threads;
    for (auto& one : eight) threads.emplace_back([&] { one = pair.remote(); });
    for (std::thread& thread : threads) thread.join();
  });
  fmt::print("{:<13} eight processes started at once: {:.2f} s\n", "", start);
}

void end(const Pair& pair, const encoder::Features& rows) {
  double worst = 0;
  for (int i = 0; i < 20; ++i) {
    const auto expert = pair.remote();
    expert->forward_by_library(rows);
    const pid_t process = expert->process().id();
    const Stopwatch watch;
    ::kill(process, SIGKILL);
    Call call;
    call.op = Op::kParamsChanged;
    try {
      expert->process().call(call, "bench", std::chrono::seconds(10));
    } catch (const ProcessEnded&) {
      worst = std::max(worst, watch.seconds());
    }
  }
  fmt::print("a death is noticed within {:.1f} ms (the worst of 20)\n", worst * 1e3);
}

void run(const fs::path& folder) {
  encoder::Encoder encoder({folder, 64, {}}, Compute{}, 384, nullptr, {});
  std::string text;
  for (int word = 0; word < 80; ++word) text += "word ";
  const std::vector<std::string_view> texts(kRows, text);
  const Pair adapter("adapter", MOEC_INPUT_POOLED, {{"bottleneck", 64}}, encoder);
  compare(adapter, encoder, texts);
  compare(Pair("deep-adapter", MOEC_INPUT_HIDDEN, {{"depth", 1}}, encoder), encoder, texts);
  end(adapter, encoder.encode(texts, adapter.in_process()->request()));
}

}  // namespace
}  // namespace moecollab::worker

int main(int count, char** arguments) {
  if (count != 2) return moecollab::usage("bench_isolation ENCODER");
  moecollab::wait_as_the_program(arguments);
  moecollab::worker::run(arguments[1]);
}
