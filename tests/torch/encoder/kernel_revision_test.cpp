// Bits of the encoder's kernels, held against kKernelRevision (base/compute.h).
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>

#include "base/compute.h"
#include "base/digest.h"
#include "encoder/encoder.h"
#include "torch/tiny_encoder.h"

namespace moecollab::encoder {
namespace {

const fs::path kGolden = fs::path(MOECOLLAB_SOURCE_DIR) / "tests" / "golden" / "kernels.json";
constexpr double kOtherCpu = 1e-5;  // other CPUs take other paths through the libraries

// Weights that no random generator's version changes: quarters of a per mille, by position.
void set_weights(moecollab::testing::TinyEncoder& tiny) {
  for (auto& [name, tensor] : tiny.tensors()) {
    const bool scales = name.ends_with("LayerNorm.weight");
    float* values = tensor.mutable_data_ptr<float>();
    for (int64_t i = 0; i < tensor.numel(); ++i)
      values[i] =
          static_cast<float>((i * 7919 + tensor.numel()) % 801 - 400) / 4000 + (scales ? 1 : 0);
  }
  tiny.write_weights();
}

// [n, 3·H]: means of all layers for texts of one to ten tokens.
at::Tensor features() {
  moecollab::testing::TinyEncoder tiny;
  set_weights(tiny);
  const std::vector<std::string_view> texts = {"film",
                                               "the film",
                                               "not bad",
                                               "pain drug pain",
                                               "the court rule of the song",
                                               "a very good match of the play"};
  const FeatureRequest request{
      {{0, Pooling::kMean}, {1, Pooling::kMean}, {2, Pooling::kMean}}, {}, false};
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  Encoder encoder({tiny.folder(), 16}, Compute{.threads = 1}, 2048, nullptr, {});
  const Features encoded = encoder.encode(texts, request);
  at::set_num_threads(threads);
  std::vector<at::Tensor> layers;
  for (const auto& [key, pooled] : encoded.pooled) layers.push_back(pooled);
  return at::cat(layers, 1).contiguous();
}

std::string digest_of(const at::Tensor& tensor) {
  return sha256_hex({static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()});
}

// What decides on the path through LibTorch's libraries: they look at features and at cache sizes.
std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  std::string model;
  for (std::string line; std::getline(info, line) && !line.empty();) {
    for (const char* key : {"vendor_id", "cpu family", "model\t", "cache size"}) {
      if (line.starts_with(key)) model += line.substr(line.find(':') + 2) + " ";
    }
  }
  return model + at::get_cpu_capability();
}

// MOECOLLAB_RECORD_KERNELS=1 records this CPU's bits; of another revision, in place of all others'.
void record(const at::Tensor& now, Json golden) {
  if (golden["revision"] != kKernelRevision) golden = {{"revision", kKernelRevision}};
  golden["digests"][cpu_model()] = digest_of(now);
  const float* values = now.const_data_ptr<float>();
  golden["features"] = std::vector<float>(values, values + now.numel());
  write_file_atomic(kGolden, to_line(golden) + "\n");
}

TEST(KernelRevision, IsRaisedWhenBitsMove) {
  const at::Tensor now = features();
  const bool exists = fs::exists(kGolden);
  Json golden = exists ? parse_json(read_file(kGolden, "E_DATA")) : Json{{"revision", 0}};
  if (std::getenv("MOECOLLAB_RECORD_KERNELS") != nullptr) record(now, golden);
  golden = parse_json(read_file(kGolden, "E_DATA"));
  ASSERT_EQ(golden["revision"], kKernelRevision)
      << "record this revision's bits: MOECOLLAB_RECORD_KERNELS=1";
  const auto recorded = golden["features"].get<std::vector<float>>();
  ASSERT_EQ(static_cast<int64_t>(recorded.size()), now.numel());
  const double moved = (at::tensor(recorded) - now.flatten()).abs().max().item<double>();
  EXPECT_LT(moved, kOtherCpu) << "features moved: raise kKernelRevision";
  if (golden["digests"].contains(cpu_model())) {
    EXPECT_EQ(golden["digests"][cpu_model()], digest_of(now))
        << "bits moved on " << cpu_model() << ": raise kKernelRevision";
  }
}

}  // namespace
}  // namespace moecollab::encoder
