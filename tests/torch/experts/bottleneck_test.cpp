// Adapters as the host's own product, held against their library.
#include "experts/bottleneck.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "experts/in_process_expert.h"

namespace moecollab::experts {
namespace {

using ::testing::HasSubstr;
using Weights = std::vector<std::pair<std::string, at::Tensor>>;

const Library& library_of(const std::string& folder, const std::string& name) {
  const std::string file = "lib" + name + ".so";
  const std::string bytes = read_file(fs::path(folder) / name / file, "E_TEST");
  return Library::load(bytes, sha256_hex(bytes), file, true);
}

// Numbers of about ±scale that no generator's version changes.
at::Tensor numbers(at::IntArrayRef shape, double scale, double step = 1.7) {
  const at::Tensor zeros = at::zeros(shape);
  return at::sin(at::arange(zeros.numel(), at::kDouble).mul(step))
      .mul(scale)
      .to(at::kFloat)
      .view(shape);
}

struct Shape {
  int64_t layers, hidden, bottleneck, classes;
};

struct BottleneckTest : ::testing::Test {
  ExpertSetup setup(const Shape& shape) {
    config.layers = 4;
    config.hidden = static_cast<int>(shape.hidden);
    config.heads = 1;
    ExpertSetup setup;
    setup.name = "adapter";
    setup.classes = static_cast<int32_t>(shape.classes);
    setup.inputs = MOEC_INPUT_POOLED;
    setup.pooling = encoder::Pooling::kMean;
    for (int32_t layer = 0; layer < shape.layers; ++layer) setup.layers.push_back(layer);
    setup.encoder = &config;
    setup.config = {{"bottleneck", shape.bottleneck}};
    return setup;
  }
  static Weights weights(const Shape& shape) {
    const int64_t d = shape.layers * shape.hidden;
    return {{"down.weight", numbers({shape.bottleneck, d}, .3)},
            {"down.bias", numbers({shape.bottleneck}, .5)},
            {"up.weight", numbers({d, shape.bottleneck}, .4, 2.3)},
            {"up.bias", numbers({d}, .6)},
            {"out.weight", numbers({shape.classes, d}, .5, 1.1)},
            {"out.bias", numbers({shape.classes}, .7)}};
  }
  InProcessExpert adapter(const Shape& shape) {
    ExpertSetup trained = setup(shape);
    trained.weights = weights(shape);
    return InProcessExpert(library_of(MOECOLLAB_PLUGIN_FOLDER, "adapter"), std::move(trained));
  }
  InProcessExpert bent(const std::string& lie) {
    ExpertSetup lying = setup(kShape);
    lying.weights = {{"unused", at::zeros({1})}};
    lying.config = Json::object();
    if (!lie.empty()) lying.config[lie] = 1;
    return InProcessExpert(library_of(MOECOLLAB_TEST_PACKAGES, "bent"), std::move(lying));
  }
  static encoder::Features features(const Shape& shape, int64_t n) {
    encoder::Features f;
    for (int layer = 0; layer < shape.layers; ++layer)
      f.pooled[{layer, encoder::Pooling::kMean}] =
          numbers({n, shape.hidden}, 1.0, 1.3 + .1 * layer);
    f.texts.assign(static_cast<size_t>(n), "text");
    for (int64_t i = 0; i < n; ++i) f.row_ids.push_back(i);
    return f;
  }
  std::string refusal(const std::string& lie) {
    try {
      bent(lie);
    } catch (const Error& error) {
      return error.code() + ": " + error.what();
    }
    return "none";
  }

  static constexpr Shape kShape = {2, 24, 20, 3};
  encoder::BertConfig config;
};

// What the host runs is counted: two products and the small one that both are folded into.
TEST_F(BottleneckTest, ItsOperationsAreThoseOfTheHost) {
  const Shape shape{2, 6, 5, 3};
  InProcessExpert expert = adapter(shape);
  EXPECT_EQ(expert.flops().row, 2 * (12 * 5 + 12 * 3 + 5 * 3));
  expert.bind(1);
  EXPECT_EQ(expert.flops().row, 2 * (12 * 5 + 5 * 12 + 12 * 3));
}

TEST_F(BottleneckTest, AnswersAsTheLibraryDoes) {
  for (const Shape& shape : {Shape{1, 384, 64, 4}, Shape{2, 24, 20, 3}, Shape{3, 13, 1, 1},
                             Shape{1, 40, 130, 150}, Shape{1, 7, 64, 17}}) {
    InProcessExpert expert = adapter(shape);
    ASSERT_TRUE(expert.is_host_code());
    for (const int64_t n : {1, 33, 130}) {
      const encoder::Features rows = features(shape, n);
      const at::Tensor expected = expert.forward_by_library(rows), seen = expert.forward(rows);
      ASSERT_EQ(seen.sizes(), expected.sizes());
      const double scale = expected.abs().max().item<double>();
      ASSERT_GT(scale, .1);
      EXPECT_LT((seen - expected).abs().max().item<double>(), 1e-5 * scale)
          << shape.layers << " x " << shape.hidden << ", " << shape.bottleneck << ", "
          << shape.classes << ", rows " << n;
    }
  }
}

TEST_F(BottleneckTest, ARowDoesNotDependOnTheOthers) {
  for (const Shape& shape : {Shape{1, 384, 64, 4}, Shape{2, 24, 70, 20}}) {
    InProcessExpert expert = adapter(shape);
    const encoder::Features all = features(shape, 200);
    const at::Tensor expected = expert.forward(all);
    for (const int64_t n : {1, 3, 64, 199}) {
      for (const int64_t first : {int64_t{0}, int64_t{1}, 200 - n})
        EXPECT_TRUE(expert.forward(all.slice(std::min(first, 200 - n), n))
                        .equal(expected.narrow(0, std::min(first, 200 - n), n)))
            << n << " rows from " << first;
    }
  }
}

TEST_F(BottleneckTest, NanStaysWithItsRow) {
  InProcessExpert expert = adapter(kShape);
  encoder::Features rows = features(kShape, 5);
  const at::Tensor clean = expert.forward(rows);
  rows.pooled.begin()->second[2][7] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor seen = expert.forward(rows);
  EXPECT_TRUE(seen[2].isnan().all().item<bool>());
  EXPECT_TRUE(seen.narrow(0, 0, 2).equal(clean.narrow(0, 0, 2)));
  EXPECT_TRUE(seen.narrow(0, 3, 2).equal(clean.narrow(0, 3, 2)));
}

TEST_F(BottleneckTest, IsDroppedWhenTheExpertLearns) {
  InProcessExpert expert = adapter(kShape);
  const encoder::Features rows = features(kShape, 9);
  const at::Tensor before = expert.forward_by_library(rows);
  const auto& parameters = expert.bind(1);
  EXPECT_FALSE(expert.is_host_code());
  EXPECT_TRUE(expert.forward(rows).equal(before));
  parameters.back().value.add_(1);
  expert.params_changed();
  EXPECT_TRUE(at::allclose(expert.forward(rows), before + 1));
}

TEST_F(BottleneckTest, WithoutWeightsThereIsNone) {
  InProcessExpert expert(library_of(MOECOLLAB_PLUGIN_FOLDER, "adapter"), setup(kShape));
  EXPECT_FALSE(expert.is_host_code());
  EXPECT_FALSE(bent("no_weights").is_host_code());
  EXPECT_TRUE(bent("").is_host_code());
}

TEST_F(BottleneckTest, OtherShapesThanTheManifestsAreRefused) {
  EXPECT_THAT(refusal("more_classes"), HasSubstr("E_DESC_MISMATCH: expert adapter: the class count "
                                                 "of its bottleneck is 3 in the manifest, 4 in"));
  EXPECT_THAT(refusal("more_features"),
              HasSubstr("features of its bottleneck is 48 in the manifest, 49 in"));
  EXPECT_THAT(refusal("no_width"), HasSubstr("E_DESC_MISMATCH"));
}

}  // namespace
}  // namespace moecollab::experts
