// The stock lexical expert: TF-IDF of hashed n-grams and multinomial logistic regression. It reads
// text only, so it costs no encoder, and it trains itself.
//
//   x = [words / ‖words‖, characters / ‖characters‖],  an n-gram counts (1 + ln count) · idf
//   y = Wᵀx + b                                         [C]
//
// The first epoch counts the n-grams. Each epoch's end makes one AdaGrad pass over all rows in an
// order that comes from the seed and the row ids, so neither the host's order nor its batches
// matter.
#include <algorithm>
#include <cmath>
#include <map>
#include <moecollab/config.hpp>
#include <moecollab/expert.hpp>

#include "ngrams.h"

namespace moecollab::lexical {
namespace {

// The order of state().
enum State { kIdf, kWeight, kBias };

constexpr size_t kRowsBetweenStops = 256;

uint64_t next_random(uint64_t& state) {  // splitmix64
  uint64_t z = (state += 0x9E3779B97F4A7C15U);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

// The [config] table; expert.toml says what each setting means.
struct Settings {
  explicit Settings(std::string_view config) {
    config_allow(config, {"buckets", "word_max", "char_min", "char_max", "min_rows",
                          "learning_rate", "l2", "tolerance"});
    ngrams.buckets = config_integer(config, "buckets", 1 << 18, 1 << 8, 1 << 26);
    ngrams.word_max = config_integer(config, "word_max", 2, 0, 8);
    ngrams.char_min = config_integer(config, "char_min", 3, 1, 16);
    ngrams.char_max = config_integer(config, "char_max", 5, 0, 16);
    min_rows = static_cast<float>(config_integer(config, "min_rows", 2, 1, 1000));
    rate = static_cast<float>(config_number(config, "learning_rate", 0.3, 1e-6, 1e3));
    l2 = static_cast<float>(config_number(config, "l2", 0.2, 0, 1e3));
    tolerance = config_number(config, "tolerance", 0.01, 0, 1);
    if (ngrams.char_max > 0 && ngrams.char_min > ngrams.char_max) {
      throw std::invalid_argument("config.char_min = " + std::to_string(ngrams.char_min) +
                                  " is above config.char_max = " + std::to_string(ngrams.char_max));
    }
    if (ngrams.word_max == 0 && ngrams.char_max == 0) {
      throw std::invalid_argument("config.word_max and config.char_max are 0: nothing to read");
    }
  }

  NgramOptions ngrams{};
  float min_rows = 0, rate = 0, l2 = 0;
  double tolerance = 0;
};

class Lexical final : public Expert, public SelfFitting, public Stateful, public Explaining {
 public:
  explicit Lexical(const CreateInfo& info)
      : host_(info.host()),
        classes_(static_cast<size_t>(info.classes())),
        settings_(info.config()),
        reader_(settings_.ngrams),
        specs_{{"idf", {settings_.ngrams.buckets}},
               {"weight", {settings_.ngrams.buckets, info.classes()}},
               {"bias", {info.classes()}}},
        learnt_(info.has_weights()) {
    const size_t buckets = static_cast<size_t>(settings_.ngrams.buckets);
    tensors_ = {std::vector<float>(buckets), std::vector<float>(buckets * classes_),
                std::vector<float>(classes_)};
    for (size_t i = 0; learnt_ && i < specs_.size(); ++i) {
      write_state(i, info.weights(specs_[i].name, specs_[i].shape));
    }
  }

  void forward(const Batch& in, Logits& out) override {
    if (!learnt_) throw std::invalid_argument("no weights were given and nothing was learnt yet");
    std::vector<Feature> x;
    for (int64_t row = 0; row < in.rows(); ++row) {
      x.clear();
      const size_t words = count(in.text(row), x);
      weigh(x, words);
      score(x, out.row(row).data());
    }
  }

  // The n-grams that move the class's output most, where the text has them first; those of one
  // place count together.
  std::vector<moec_evidence> explain(const Batch& in, int32_t label, size_t most) override {
    if (!learnt_) throw Unsupported("no weights were given and nothing was learnt yet");
    std::vector<Feature> x;
    const size_t words = count(in.text(0), x);
    normalise(x.data(), x.data() + words);
    normalise(x.data() + words, x.data() + x.size());
    std::map<std::pair<bool, uint32_t>, float> values;
    for (size_t i = 0; i < x.size(); ++i) values[{i < words, x[i].bucket}] = x[i].value;
    std::map<std::pair<size_t, size_t>, double> weights;
    for (const NgramReader::Place& place : reader_.places(in.text(0))) {
      weights[{place.begin, place.end}] +=
          values[{place.is_words, place.bucket}] * beyond_mean(place.bucket, label);
    }
    std::vector<moec_evidence> evidence;
    for (const auto& [place, weight] : weights) {
      if (weight != 0) {
        evidence.push_back(
            {static_cast<int64_t>(place.first), static_cast<int64_t>(place.second), weight});
      }
    }
    std::stable_sort(evidence.begin(), evidence.end(), [](const auto& a, const auto& b) {
      return std::abs(a.weight) > std::abs(b.weight);
    });
    evidence.resize(std::min(most, evidence.size()));
    return evidence;
  }

  void fit_begin(int64_t, int32_t, uint64_t seed) override {
    for (std::vector<float>& tensor : tensors_) std::fill(tensor.begin(), tensor.end(), 0.0F);
    learnt_ = true;
    fit_ = std::make_unique<Fit>();
    fit_->random = seed;
    fit_->weight_squares.resize(tensors_[kWeight].size());
    fit_->bias_squares.resize(classes_);
  }

  // Takes note of rows, labels and weights; fit_epoch_end() learns from them.
  void fit_batch(const Batch& in, View<const int32_t> labels, View<const float> weights) override {
    Fit& fit = fitting();
    for (int64_t r = 0; r < in.rows(); ++r) {
      const auto found = fit.rows.find(in.row_id(r));
      if (found == fit.rows.end() && weights[r] == 0) continue;
      Row& row = found == fit.rows.end() ? add_row(in.row_id(r), in.text(r)) : found->second;
      row.label = static_cast<size_t>(labels[r]);
      row.weight = weights[r];
    }
  }

  bool fit_epoch_end() override {
    Fit& fit = fitting();
    if (fit.rows.empty()) throw std::invalid_argument("no row weighs more than 0");
    if (fit.epoch == 0) weigh_rows();
    ++fit.epoch;
    fit.rate = settings_.rate / std::sqrt(static_cast<float>(fit.epoch));
    for (size_t i = fit.order.size(); i > 1; --i) {
      std::swap(fit.order[i - 1], fit.order[next_random(fit.random) % i]);
    }
    double loss = 0, weight = 0;
    for (size_t i = 0; i < fit.order.size(); ++i) {
      if (i % kRowsBetweenStops == 0) stop_if_asked();
      loss += learn(*fit.order[i]);
      weight += fit.order[i]->weight;
    }
    if (weight > 0) loss /= weight;
    const bool moved = std::abs(fit.loss - loss) > settings_.tolerance * fit.loss;
    fit.loss = loss;
    return moved || fit.epoch == 1;
  }

  void fit_end() override { fit_.reset(); }

  const std::vector<TensorSpec>& state() const override { return specs_; }
  void read_state(size_t index, View<float> destination) override {
    std::copy(tensors_[index].begin(), tensors_[index].end(), destination.begin());
  }
  void write_state(size_t index, View<const float> source) override {
    std::copy(source.begin(), source.end(), tensors_[index].begin());
    learnt_ = true;
  }

 private:
  struct Row {
    std::vector<Feature> x;  // `words` features of words, then those of characters
    size_t words = 0, label = 0;
    float weight = 0;
  };
  // What only training needs; about 8 bytes per n-gram of the training texts.
  struct Fit {
    std::map<int64_t, Row> rows;  // by row id
    std::vector<Row*> order;
    std::vector<float> shrinkage;                     // [buckets], of the weights
    std::vector<float> weight_squares, bias_squares;  // AdaGrad's sums
    uint64_t random = 0;
    int epoch = 0;
    float rate = 0;
    double loss = 0;  // of the last epoch, per unit of weight
  };

  Fit& fitting() {
    if (!fit_) throw std::invalid_argument("fit_begin() was not called");
    return *fit_;
  }

  Row& add_row(int64_t id, std::string_view text) {
    Row& row = fit_->rows[id];
    row.words = count(text, row.x);
    row.x.shrink_to_fit();
    if (fit_->epoch > 0) {
      weigh(row.x, row.words);
      fit_->order.push_back(&row);
    }
    return row;
  }

  void stop_if_asked() const {
    if (host_ != nullptr && host_->should_stop(host_) != 0) throw Cancelled();
  }

  // The text's n-grams; returns how many of them are words.
  size_t count(std::string_view text, std::vector<Feature>& x) {
    reader_.append_words(text, x);
    const size_t words = x.size();
    reader_.append_characters(text, x);
    return words;
  }

  // From counts to x: idf, unit length of both groups, n-grams without idf dropped.
  void weigh(std::vector<Feature>& x, size_t words) const {
    normalise(x.data(), x.data() + words);
    normalise(x.data() + words, x.data() + x.size());
    const auto unknown = [](const Feature& f) { return f.value == 0; };
    x.erase(std::remove_if(x.begin(), x.end(), unknown), x.end());
  }
  void normalise(Feature* first, Feature* last) const {
    float squares = 0;
    for (Feature* f = first; f != last; ++f) {
      f->value *= tensors_[kIdf][f->bucket];
      squares += f->value * f->value;
    }
    const float scale = squares > 0 ? 1.0F / std::sqrt(squares) : 0.0F;
    for (Feature* f = first; f != last; ++f) f->value *= scale;
  }

  // A bucket's weight for the class, less the mean of its weights.
  double beyond_mean(uint32_t bucket, int32_t label) const {
    const float* w = &tensors_[kWeight][bucket * classes_];
    double sum = 0;
    for (size_t c = 0; c < classes_; ++c) sum += w[c];
    return w[label] - sum / static_cast<double>(classes_);
  }

  void score(const std::vector<Feature>& x, float* y) const {
    std::copy(tensors_[kBias].begin(), tensors_[kBias].end(), y);
    for (const Feature& f : x) {
      const float* w = &tensors_[kWeight][f.bucket * classes_];
      for (size_t c = 0; c < classes_; ++c) y[c] += f.value * w[c];
    }
  }

  // idf = 1 + ln((1 + n) / (1 + rows with it)), 0 for what fewer than min_rows rows have.
  // An update sees a weight only in the rows that have its n-gram, so each takes its share of l2.
  void weigh_rows() {
    std::vector<float>& idf = tensors_[kIdf];
    for (const auto& [id, row] : fit_->rows) {
      for (const Feature& f : row.x) idf[f.bucket] += 1;
    }
    fit_->shrinkage.resize(idf.size());
    const float n = static_cast<float>(fit_->rows.size());
    for (size_t b = 0; b < idf.size(); ++b) {
      const float rows = std::min(idf[b], n);  // a word and a character n-gram may share a bucket
      if (rows > 0) fit_->shrinkage[b] = settings_.l2 / rows;
      idf[b] = rows < settings_.min_rows ? 0.0F : 1.0F + std::log((1.0F + n) / (1.0F + rows));
    }
    for (auto& [id, row] : fit_->rows) {
      weigh(row.x, row.words);
      fit_->order.push_back(&row);
    }
  }

  // One step on −weight · ln softmax(y)[label] + l2/2 · ‖W‖²; returns the first term before it.
  double learn(const Row& row) {
    if (row.weight == 0) return 0;
    std::vector<float>& g = gradient_;
    g.resize(classes_);
    score(row.x, g.data());
    const float top = *std::max_element(g.begin(), g.end()), chosen = g[row.label];
    float sum = 0;
    for (float& value : g) sum += value = std::exp(value - top);
    for (float& value : g) value *= row.weight / sum;
    g[row.label] -= row.weight;

    for (const Feature& f : row.x) {
      const size_t at = f.bucket * classes_;
      for (size_t c = 0; c < classes_; ++c) {
        float& w = tensors_[kWeight][at + c];
        step(w, fit_->weight_squares[at + c], f.value * g[c] + fit_->shrinkage[f.bucket] * w);
      }
    }
    for (size_t c = 0; c < classes_; ++c) step(tensors_[kBias][c], fit_->bias_squares[c], g[c]);
    return row.weight * (std::log(sum) + top - chosen);
  }
  // AdaGrad.
  void step(float& value, float& squares, float gradient) const {
    squares += gradient * gradient;
    value -= fit_->rate * gradient / std::sqrt(squares + 1e-8F);
  }

  const moec_host* host_;
  size_t classes_;
  Settings settings_;
  NgramReader reader_;
  std::vector<TensorSpec> specs_;
  std::vector<std::vector<float>> tensors_;  // in the order of specs_
  bool learnt_;
  std::unique_ptr<Fit> fit_;
  std::vector<float> gradient_;
};

}  // namespace
}  // namespace moecollab::lexical

MOECOLLAB_LIBRARY(moecollab::lexical::Lexical, "org.moecollab.lexical", "0.1.0",
                  moecollab::Input::text);
