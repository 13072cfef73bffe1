// The experts of samples/, written by "someone else".
#include <gmock/gmock.h>

#include "plugin/loaded_library.h"

namespace moecollab::plugin_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

ExpertSpec news() {
  ExpertSpec spec;
  spec.classes = 4;
  return spec;
}

ExpertSpec plane(int32_t classes) {
  ExpertSpec spec;
  spec.classes = classes;
  spec.inputs = MOEC_INPUT_POOLED;
  spec.pooling = MOEC_POOLING_MEAN;
  spec.layers = {6};
  spec.hidden = 2;
  return spec;
}

TEST(KeywordSample, FixesItsLabelsInCode) {
  const LoadedLibrary library(MOECOLLAB_KEYWORDS);
  const moec_library_info* info = library->describe();
  std::vector<std::string> labels;
  for (int32_t i = 0; i < info->classes; ++i) {
    labels.emplace_back(info->labels[i].data, info->labels[i].size);
  }
  EXPECT_THAT(labels, ElementsAre("world", "sports", "business", "scitech"));
}

TEST(KeywordSample, CountsKeywords) {
  const LoadedLibrary library(MOECOLLAB_KEYWORDS);
  const auto y =
      LoadedExpert(library, news())
          .forward(Batch({"The PRESIDENT met ministers.", "The team won the cup",
                          "Profits rose; shares fell", "A new software for the internet", ""}));
  for (size_t row = 0; row < 4; ++row) {
    const auto logits = y.begin() + static_cast<std::ptrdiff_t>(4 * row);
    EXPECT_EQ(std::max_element(logits, logits + 4) - logits, static_cast<std::ptrdiff_t>(row));
  }
  EXPECT_THAT(std::vector<float>(y.begin() + 16, y.end()), ElementsAre(0, 0, 0, 0));
}

TEST(KeywordSample, RefusesWhatItIsNotMadeFor) {
  const LoadedLibrary library(MOECOLLAB_KEYWORDS);
  ExpertSpec five = news(), pooled = news(), weights = news();
  five.classes = 5;
  pooled.inputs = MOEC_INPUT_POOLED;
  weights.weights.emplace("out.bias", Floats({4}));
  EXPECT_THAT([&] { LoadedExpert(library, five); },
              ThrowsMessage<std::runtime_error>(HasSubstr("4 classes")));
  EXPECT_THAT([&] { LoadedExpert(library, pooled); },
              ThrowsMessage<std::runtime_error>(HasSubstr("reads text only")));
  EXPECT_THAT([&] { LoadedExpert(library, weights); },
              ThrowsMessage<std::runtime_error>(HasSubstr("no weights")));
}

TEST(CentroidSample, AnswersWithTheNearestDirection) {
  const LoadedLibrary library(MOECOLLAB_CENTROID);
  const LoadedExpert expert(library, plane(3));
  const Floats features({4, 2}, {3, 0.1F, 1, -0.1F, 0.2F, 2, -1, 0});
  expert.fit(Batch(features), {0, 0, 1, 2});
  const auto y = expert.forward(Batch(features));
  EXPECT_GT(y[0], y[1]);
  EXPECT_GT(y[7], y[6]) << "row 2, label 1";
  EXPECT_FLOAT_EQ(y[11], 20) << "row 3 is the only one of label 2: scale · 1";

  ExpertSpec spec = plane(3);
  spec.weights = expert.read_state();
  EXPECT_EQ(LoadedExpert(library, spec).forward(Batch(features)), y);
}

TEST(CentroidSample, WeighsItsRows) {
  const LoadedLibrary library(MOECOLLAB_CENTROID);
  const LoadedExpert expert(library, plane(1));
  const Floats features({2, 2}, {1, 0, 0, 1}), first({1, 2}, {1, 0});
  expert.fit(Batch(features), {0, 0}, {1, 0});
  EXPECT_FLOAT_EQ(expert.forward(Batch(first))[0], 20);
}

TEST(CentroidSample, RefusesSeveralLayersAndClsPooling) {
  const LoadedLibrary library(MOECOLLAB_CENTROID);
  ExpertSpec two = plane(2), cls = plane(2);
  two.layers = {5, 6};
  cls.pooling = MOEC_POOLING_CLS;
  EXPECT_THAT([&] { LoadedExpert(library, two); },
              ThrowsMessage<std::runtime_error>(HasSubstr("one layer")));
  EXPECT_THAT([&] { LoadedExpert(library, cls); },
              ThrowsMessage<std::runtime_error>(HasSubstr("pooling 1")));
}

}  // namespace
}  // namespace moecollab::plugin_test
