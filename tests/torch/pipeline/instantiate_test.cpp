// What is loaded is what was checked.
#include "pipeline/instantiate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "torch/tiny_encoder.h"
#include "torch/toy_registry.h"

namespace moecollab::pipeline {
namespace {

// Puts one content and another in a file's place, by renaming and by writing into it, until it is
// destroyed.
class Swapper {
 public:
  Swapper(fs::path file, std::string good, std::string bad)
      : file_(std::move(file)), good_(std::move(good)), bad_(std::move(bad)), thread_([this] {
          for (int turn = 0; !done_; ++turn) {
            const std::string& content = turn % 2 == 0 ? bad_ : good_;
            if (turn % 3 == 0)
              std::ofstream(file_, std::ios::binary | std::ios::in) << content;
            else
              write_file_atomic(file_, content);
          }
        }) {}
  ~Swapper() {
    done_ = true;
    thread_.join();
    write_file_atomic(file_, good_);
  }

 private:
  fs::path file_;
  std::string good_, bad_;
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

// a file that is swapped between check and use is refused, or is the one that was checked.
TEST(Instantiate, R11_WhatIsUsedIsWhatWasChecked) {
  const int tries = std::getenv("MOECOLLAB_SOAK") != nullptr ? 10000 : 400;
  const testing::TinyEncoder tiny;
  const testing::ToyRegistry toy(tiny);
  Pool pool(toy.options());
  const registry::Package& package = pool.experts().front().package;
  const encoder::Features features = pool.encoder()->encode(
      std::vector<std::string_view>{"good film"}, pool.experts().front().expert->request(), "");
  const at::Tensor right = pool.experts().front().expert->forward(features).clone();
  const std::string library = registry::library_file(package.manifest);
  for (const std::string& name : {library, std::string("weights.safetensors")}) {
    const std::string good = read_file(package.folder / name, "E_TEST");
    std::string bad = good;
    bad[bad.size() - 2] ^= 1;
    const Swapper swapper(package.folder / name, good, bad);
    int used = 0, refused = 0;
    for (int i = 0; i < tries; ++i) {
      try {
        const auto expert = instantiate(package, pool.encoder(), Compute{}, {}, {});
        ASSERT_TRUE(expert->forward(features).equal(right)) << name << ", try " << i;
        ++used;
      } catch (const Error& error) {
        // Torn by a writer in place, another size meanwhile, or the other content.
        ASSERT_THAT(error.code(), ::testing::AnyOf("E_PLUG_DIGEST", "E_PLUG_PATH", "E_REG_IO"))
            << error.what();
        ++refused;
      }
    }
    EXPECT_GT(used, 0) << name;
    EXPECT_GT(refused, 0) << name;
  }
}

}  // namespace
}  // namespace moecollab::pipeline
