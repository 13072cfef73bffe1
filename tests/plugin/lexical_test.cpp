#include <gmock/gmock.h>

#include <cmath>

#include "plugin/loaded_library.h"

namespace moecollab::plugin_test {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

ExpertSpec small_spec(int32_t classes = 2) {
  ExpertSpec spec;
  spec.classes = classes;
  spec.config = R"({"buckets": 4096, "min_rows": 1})";
  return spec;
}

const std::vector<std::string> kLexicalTexts = {"a lovely warm film",  "terrible and boring plot",
                                                "what a lovely day",   "the plot was terrible",
                                                "warm, lovely people", "boring from start to end"};
const std::vector<int32_t> kLabels = {0, 1, 0, 1, 0, 1};

int answer(const std::vector<float>& logits, size_t row, size_t classes = 2) {
  const auto first = logits.begin() + static_cast<std::ptrdiff_t>(row * classes);
  return static_cast<int>(std::max_element(first, first + static_cast<std::ptrdiff_t>(classes)) -
                          first);
}

class Lexical : public ::testing::Test {
 protected:
  LoadedExpert fitted(const std::vector<std::string>& texts, const std::vector<int32_t>& labels,
                      const std::vector<float>& weights = {}, uint64_t seed = 1) const {
    LoadedExpert expert(library_, small_spec());
    expert.fit(Batch(texts), labels, weights, 10, seed);
    return expert;
  }

  LoadedLibrary library_{MOECOLLAB_LEXICAL};
};

TEST_F(Lexical, LearnsToTellTextsApart) {
  const LoadedExpert expert = fitted(kLexicalTexts, kLabels);
  const auto y = expert.forward(Batch(kLexicalTexts));
  for (size_t row = 0; row < kLexicalTexts.size(); ++row)
    EXPECT_EQ(answer(y, row), kLabels[row]) << row;
  const auto unseen = expert.forward(Batch({"LOVELY!", "such boringness", "a TERRIBLE film"}));
  EXPECT_EQ(answer(unseen, 0), 0);
  EXPECT_EQ(answer(unseen, 1), 1) << "by its characters";
  EXPECT_EQ(answer(unseen, 2), 1);
}

// Without a limit the parts of a text add up to what its class has beyond the mean class, but for
// the biases, which an empty text has alone.
TEST_F(Lexical, EvidenceAddsUpToTheOutput) {
  const LoadedExpert expert = fitted(kLexicalTexts, kLabels);
  const auto beyond_mean = [&](const std::string& text, int32_t label) {
    const std::vector<float> y = expert.forward(Batch({text}));
    return y[static_cast<size_t>(label)] - (y[0] + y[1]) / 2;
  };
  for (const std::string text : {"a lovely, lovely plot", "Terrible fr\xC3\xBCher", ""}) {
    for (const int32_t label : {0, 1}) {
      double sum = 0;
      for (const moec_evidence& part : expert.explain(Batch({text}), label, 1000))
        sum += part.weight;
      EXPECT_NEAR(sum, beyond_mean(text, label) - beyond_mean("", label), 1e-5) << text;
    }
  }
}

TEST_F(Lexical, EvidenceIsTheGreatestAndStandsInTheText) {
  const LoadedExpert expert = fitted(kLexicalTexts, kLabels);
  const std::string text = "LOVELY weather fr\xC3\xBCher";
  const std::vector<moec_evidence> all = expert.explain(Batch({text}), 0, 1000);
  ASSERT_GT(all.size(), 3U);
  double last = std::abs(all[0].weight);
  for (const moec_evidence& part : all) {
    EXPECT_LE(std::abs(part.weight), last);
    last = std::abs(part.weight);
    EXPECT_GE(part.begin, 0);
    EXPECT_LE(part.begin, part.end);
    EXPECT_LE(part.end, static_cast<int64_t>(text.size()));
  }
  EXPECT_EQ(text.substr(static_cast<size_t>(all[0].begin),
                        static_cast<size_t>(all[0].end - all[0].begin)),
            "LOVELY");
  EXPECT_GT(all[0].weight, 0);
  const std::vector<moec_evidence> two = expert.explain(Batch({text}), 0, 2);
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(two[1].weight, all[1].weight);
  EXPECT_LT(expert.explain(Batch({text}), 1, 1).at(0).weight, 0) << "it speaks against the other";
}

TEST_F(Lexical, ExplainsOneRowOfAKnownClassOnly) {
  const LoadedExpert expert = fitted(kLexicalTexts, kLabels);
  EXPECT_THAT(
      [&] {
        expert.explain(Batch({"a", "b"}), 0, 5);
      },
      ThrowsMessage<std::runtime_error>(HasSubstr("one row")));
  EXPECT_THAT([&] { expert.explain(Batch({"a"}), 2, 5); },
              ThrowsMessage<std::runtime_error>(HasSubstr("no such class")));
  EXPECT_THAT([&] { LoadedExpert(library_, small_spec()).explain(Batch({"a"}), 0, 5); },
              ThrowsMessage<std::runtime_error>(HasSubstr("nothing was learnt")));
}

TEST_F(Lexical, WordOrderCountsThroughPairs) {
  ExpertSpec spec = small_spec();
  spec.config = R"({"buckets": 4096, "min_rows": 1, "char_max": 0})";
  const LoadedExpert expert(library_, spec);
  const std::vector<std::string> texts = {"not bad but good", "not good but bad"};
  expert.fit(Batch(texts), {0, 1});
  const auto y = expert.forward(Batch(texts));
  EXPECT_EQ(answer(y, 0), 0);
  EXPECT_EQ(answer(y, 1), 1);
}

TEST_F(Lexical, UnknownTextsGetTheBias) {
  const LoadedExpert expert = fitted({"aaaa", "aaab", "bbbb"}, {0, 0, 1});
  const auto state = expert.read_state();
  const auto y = expert.forward(Batch({"", "zzzz qqqq", " \t\n"}));
  EXPECT_THAT(y, ElementsAre(state.at("bias")[0], state.at("bias")[1], state.at("bias")[0],
                             state.at("bias")[1], state.at("bias")[0], state.at("bias")[1]));
  EXPECT_GT(y[0], y[1]) << "two texts of three have label 0";
}

TEST_F(Lexical, TakesAnyBytes) {
  const LoadedExpert expert = fitted(kLexicalTexts, kLabels);
  const std::string invalid("\xFF\xC3 \x80\x80\0 lovely", 14), long_text(1 << 20, 'x');
  for (const float logit : expert.forward(Batch({invalid, long_text, "naïve café 日本語"}))) {
    EXPECT_TRUE(std::isfinite(logit));
  }
}

TEST_F(Lexical, NgramsOfOtherScriptsEndBetweenCharacters) {
  ExpertSpec spec = small_spec();
  spec.config = R"({"buckets": 4096, "min_rows": 1, "word_max": 0, "char_min": 1, "char_max": 1})";
  const LoadedExpert expert(library_, spec);
  expert.fit(Batch({"日", "本"}), {0, 1});
  int known = 0;
  for (const float idf : expert.read_state().at("idf").values()) known += idf > 0;
  EXPECT_EQ(known, 3) << "two characters and the space around them";
}

TEST_F(Lexical, IdfIsSmoothedAndRareNgramsAreDropped) {
  ExpertSpec spec = small_spec();
  spec.config = R"({"buckets": 4096, "min_rows": 2, "char_max": 0, "word_max": 1})";
  const LoadedExpert expert(library_, spec);
  expert.fit(Batch({"one two", "one two", "one three"}), {0, 0, 1});
  std::vector<float> known;
  for (const float idf : expert.read_state().at("idf").values()) {
    if (idf > 0) known.push_back(idf);
  }
  std::sort(known.begin(), known.end());
  ASSERT_EQ(known.size(), 2U) << "`three` occurs once";
  EXPECT_FLOAT_EQ(known[0], 1.0F + std::log(4.0F / 4.0F));
  EXPECT_FLOAT_EQ(known[1], 1.0F + std::log(4.0F / 3.0F));
}

TEST_F(Lexical, StateMakesTheSameExpertAgain) {
  const LoadedExpert expert = fitted(kLexicalTexts, kLabels);
  ExpertSpec spec = small_spec();
  spec.weights = expert.read_state();
  const LoadedExpert again(library_, spec);
  EXPECT_EQ(again.forward(Batch(kLexicalTexts)), expert.forward(Batch(kLexicalTexts)));

  const LoadedExpert written(library_, small_spec());
  const auto* state = library_.extension<moec_ext_state>(MOEC_EXT_STATE);
  const std::vector<std::string> names = {"idf", "weight", "bias"};
  for (size_t i = 0; i < names.size(); ++i) {
    LoadedExpert::check([&](moec_error* error) {
      return state->write(written.get(), i, spec.weights.at(names[i]).view(), error);
    });
  }
  EXPECT_EQ(written.forward(Batch(kLexicalTexts)), expert.forward(Batch(kLexicalTexts)));
}

TEST_F(Lexical, SixClassesStayBelowEightMegabytes) {
  ExpertSpec spec = small_spec(6);
  spec.config = "{}";
  size_t floats = 0;
  for (const auto& [name, tensor] : LoadedExpert(library_, spec).read_state()) {
    floats += tensor.size();
  }
  EXPECT_LE(floats * sizeof(float), 8'000'000U);
}

TEST_F(Lexical, EqualSeedsGiveEqualBits) {
  const auto bits = [&](uint64_t seed) {
    return fitted(kLexicalTexts, kLabels, {}, seed).forward(Batch(kLexicalTexts));
  };
  EXPECT_EQ(bits(1), bits(1));
  EXPECT_NE(bits(1), bits(2));
}

TEST_F(Lexical, NeitherOrderNorBatchesMatter) {
  const LoadedExpert expert(library_, small_spec());
  expert.fit_begin(1);
  for (int epoch = 0; epoch < 3; ++epoch) {
    for (size_t row = kLexicalTexts.size(); row-- > 0;) {
      expert.fit_batch(Batch({kLexicalTexts[row]}, static_cast<int64_t>(row)), {kLabels[row]}, {1});
    }
    expert.fit_epoch_end();
  }
  const LoadedExpert other(library_, small_spec());
  other.fit_begin(1);
  for (int epoch = 0; epoch < 3; ++epoch) {
    other.fit_batch(Batch(kLexicalTexts), kLabels, std::vector<float>(kLexicalTexts.size(), 1));
    other.fit_epoch_end();
  }
  EXPECT_EQ(expert.forward(Batch(kLexicalTexts)), other.forward(Batch(kLexicalTexts)));
}

TEST_F(Lexical, RowsOfWeightZeroHaveNoInfluence) {
  auto texts = kLexicalTexts;
  auto labels = kLabels;
  texts.insert(texts.end(), {"lovely lovely lovely", "nothing of the kind", "boring"});
  labels.insert(labels.end(), {1, 0, 0});
  const LoadedExpert with = fitted(texts, labels, {1, 1, 1, 1, 1, 1, 0, 0, 0});
  const LoadedExpert without = fitted(kLexicalTexts, kLabels);
  EXPECT_EQ(with.forward(Batch(texts)), without.forward(Batch(texts)));
}

TEST_F(Lexical, HeavierRowsWin) {
  const std::vector<std::string> texts = {"same text", "same text"};
  EXPECT_EQ(answer(fitted(texts, {0, 1}, {5, 1}).forward(Batch(texts)), 0), 0);
  EXPECT_EQ(answer(fitted(texts, {0, 1}, {1, 5}).forward(Batch(texts)), 0), 1);
}

TEST_F(Lexical, AnswersBetweenEpochsAndForgetsAtTheNextBeginning) {
  const LoadedExpert expert(library_, small_spec());
  expert.fit_begin(1);
  expert.fit_batch(Batch(kLexicalTexts), kLabels, std::vector<float>(6, 1));
  expert.fit_epoch_end();
  const auto first = expert.forward(Batch(kLexicalTexts));
  EXPECT_EQ(answer(first, 0), 0);
  expert.fit_begin(1);
  EXPECT_THAT(expert.forward(Batch(kLexicalTexts)), Each(0.0F));
  expert.fit_batch(Batch(kLexicalTexts), kLabels, std::vector<float>(6, 1));
  expert.fit_epoch_end();
  EXPECT_EQ(expert.forward(Batch(kLexicalTexts)), first);
}

TEST_F(Lexical, WantsNoMoreWhenTheLossStopsMoving) {
  const LoadedExpert expert(library_, small_spec());
  expert.fit_begin(1, 200);
  int epochs = 0;
  bool more = true;
  while (more && epochs < 200) {
    expert.fit_batch(Batch(kLexicalTexts), kLabels, std::vector<float>(6, 1));
    more = expert.fit_epoch_end();
    ++epochs;
  }
  EXPECT_GT(epochs, 2);
  EXPECT_LT(epochs, 200);
}

TEST_F(Lexical, StopsWhenTheHostSaysSo) {
  moec_host host{};
  host.struct_size = sizeof(host);
  host.should_stop = [](const moec_host*) -> int32_t { return 1; };
  ExpertSpec spec = small_spec();
  spec.host = &host;
  const LoadedExpert expert(library_, spec);
  expert.fit_begin(1);
  expert.fit_batch(Batch(kLexicalTexts), kLabels, std::vector<float>(6, 1));
  const auto* fit = library_.extension<moec_ext_fit>(MOEC_EXT_FIT);
  const moec_exec exec = one_thread();
  int32_t more = 1;
  moec_error error = empty_error();
  EXPECT_EQ(fit->fit_epoch_end(expert.get(), &exec, &more, &error), MOEC_CANCELLED);
  EXPECT_THAT(error.message, HasSubstr("cancelled"));
}

TEST_F(Lexical, RefusesSettingsThatMakeNoSense) {
  const auto made_with = [&](const std::string& config) {
    return [this, config] {
      ExpertSpec spec;
      spec.config = config;
      LoadedExpert(library_, spec);
    };
  };
  EXPECT_THAT(made_with(R"({"bucket": 4096})"),
              ThrowsMessage<std::runtime_error>(HasSubstr("config.bucket is no setting")));
  EXPECT_THAT(made_with(R"({"buckets": 1})"),
              ThrowsMessage<std::runtime_error>(HasSubstr("config.buckets = 1")));
  EXPECT_THAT(made_with(R"({"char_min": 6})"),
              ThrowsMessage<std::runtime_error>(HasSubstr("config.char_min = 6 is above")));
  EXPECT_THAT(made_with(R"({"word_max": 0, "char_max": 0})"),
              ThrowsMessage<std::runtime_error>(HasSubstr("nothing to read")));
}

TEST_F(Lexical, RefusesBadTrainingData) {
  const LoadedExpert expert(library_, small_spec());
  const Batch one({std::string("a text")});
  EXPECT_THAT([&] { expert.forward(one); },
              ThrowsMessage<std::runtime_error>(HasSubstr("nothing was learnt")));
  EXPECT_THAT([&] { expert.fit_batch(one, {0}, {1}); },
              ThrowsMessage<std::runtime_error>(HasSubstr("fit_begin() was not called")));
  expert.fit_begin(1);
  EXPECT_THAT([&] { expert.fit_epoch_end(); },
              ThrowsMessage<std::runtime_error>(HasSubstr("no row weighs more than 0")));
  EXPECT_THAT([&] { expert.fit_batch(one, {2}, {1}); },
              ThrowsMessage<std::runtime_error>(HasSubstr("label outside")));
  EXPECT_THAT([&] { expert.fit_batch(one, {0}, {-1}); },
              ThrowsMessage<std::runtime_error>(HasSubstr("weight that is negative")));
  EXPECT_THAT(
      [&] {
        expert.fit_batch(one, {0, 1}, {1, 1});
      },
      ThrowsMessage<std::runtime_error>(HasSubstr("labels is [2], expected [1]")));
}

TEST_F(Lexical, RefusesStateOfAnotherSize) {
  const LoadedExpert expert = fitted(kLexicalTexts, kLabels);
  const auto made_with = [&](const std::function<void(ExpertSpec&)>& change) {
    return [&, change] {
      ExpertSpec spec = small_spec();
      spec.weights = expert.read_state();
      change(spec);
      LoadedExpert(library_, spec);
    };
  };
  EXPECT_THAT(
      made_with([](ExpertSpec& spec) { spec.config = R"({"buckets": 1024})"; }),
      ThrowsMessage<std::runtime_error>(HasSubstr("weight idf is [4096], expected [1024]")));
  EXPECT_THAT(made_with([](ExpertSpec& spec) { spec.weights.erase("bias"); }),
              ThrowsMessage<std::runtime_error>(HasSubstr("weight bias is missing")));

  const auto* state = library_.extension<moec_ext_state>(MOEC_EXT_STATE);
  const Floats small({3});
  moec_error error = empty_error();
  EXPECT_EQ(state->read(expert.get(), 2, small.view(), &error), MOEC_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("bias is [3], expected [2]"));
  EXPECT_EQ(state->write(expert.get(), 3, small.view(), &error), MOEC_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("no such state tensor"));
}

}  // namespace
}  // namespace moecollab::plugin_test
