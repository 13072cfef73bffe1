#include "training/linear_head.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace moecollab::training {
namespace {

// Three labels told apart by the greatest of three features.
HeadData sample_data() {
  constexpr int64_t kTexts = 300;
  HeadData data;
  data.z = at::sin(at::arange(kTexts * 3, at::kFloat).mul(2.3)).view({kTexts, 3});
  data.targets = data.z.argmax(1);
  for (int64_t i = 0; i < kTexts; ++i) data.held_out.push_back(i % 5 == 0);
  return data;
}

const std::vector<encoder::PooledKey> kFeatures = {{2, encoder::Pooling::kMean}};

TEST(LinearHead, LearnsAndIsReproducible) {
  const HeadData data = sample_data();
  const HeadTrainingOptions options{.epochs = 80, .lr = 5e-2, .batch = 50, .seed = 3};
  const HeadFit fit = fit_head(data, kFeatures, 3, options, {});
  EXPECT_GT(fit.held_out_accuracy, 0.9);
  EXPECT_EQ(fit.texts, 300);
  const at::Tensor right = fit.linear.router_logits(data.z).argmax(1).eq(data.targets);
  EXPECT_GT(right.to(at::kDouble).mean().item<double>(), 0.9);
  EXPECT_TRUE(fit_head(data, kFeatures, 3, options, {}).linear.weight.equal(fit.linear.weight));
}

TEST(LinearHead, BadOptionsAreRefused) {
  for (const HeadTrainingOptions& bad :
       {HeadTrainingOptions{.epochs = 0}, HeadTrainingOptions{.lr = 0},
        HeadTrainingOptions{.weight_decay = -1}, HeadTrainingOptions{.batch = 0}}) {
    EXPECT_THROW(validate(bad), Error);
  }
}

HeadFile sample_head() {
  HeadFile head;
  head.linear = gate::make_gate(kFeatures, sample_data().z, 4);
  head.linear.weight = at::cos(at::arange(12, at::kFloat)).view({4, 3});
  head.encoder_fingerprint = std::string(64, 'e');
  head.spaces = {{"b/1", {"u", "v"}}, {"a/1", {"x", "y"}}};
  head.data = {{"a", std::string(64, '1')}};
  head.epochs = 7;
  head.held_out_accuracy = 0.5;
  return head;
}

TEST(HeadFile, RoundTripsAndRefusesDamage) {
  const TemporaryFolder folder;
  EXPECT_THROW(read_head(folder.path()), Error) << "missing";
  const HeadFile head = sample_head();
  write_head(folder.path(), head);
  const HeadFile read = read_head(folder.path());
  EXPECT_TRUE(read.linear.weight.equal(head.linear.weight));
  EXPECT_TRUE(read.linear.std.equal(head.linear.std));
  EXPECT_EQ(read.spaces[0].labels, head.spaces[0].labels);
  EXPECT_EQ(read.epochs, 7);
  EXPECT_EQ(read.data, head.data);

  const fs::path tensors =
      registry::head_baseline(folder.path()).parent_path() / "head.safetensors";
  std::string bytes = read_file(tensors, "E_TEST");
  bytes.back() ^= 1;
  write_file_atomic(tensors, bytes);
  try {
    read_head(folder.path());
    ADD_FAILURE() << "one bit of the tensors was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_CKPT_BASELINE");
  }
}

// The head's columns are u, v, x, y; the union's ids are x, y, u, v.
TEST(HeadFile, ColumnsAreMatchedByName) {
  fusion::LabelUnion labels;
  labels.add({"a/1", {"x", "y"}}, false);
  labels.add({"b/1", {"v", "u"}}, false);
  const HeadFile head = sample_head();
  EXPECT_EQ(head_columns(head, head.encoder_fingerprint, labels),
            (std::vector<int64_t>{3, 2, 0, 1}));
  EXPECT_THROW(head_columns(head, std::string(64, 'f'), labels), Error) << "another encoder";
  labels.add({"c/1", {"s", "t"}}, false);
  EXPECT_THROW(head_columns(head, head.encoder_fingerprint, labels), Error) << "a new space";
  fusion::LabelUnion fewer;
  fewer.add({"a/1", {"x", "y"}}, false);
  EXPECT_THROW(head_columns(head, head.encoder_fingerprint, fewer), Error) << "a space less";
}

}  // namespace
}  // namespace moecollab::training
