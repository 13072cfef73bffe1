// What the expert sees of a text: the mean of its tokens' states, without [CLS] and [SEP].
static constexpr Input kInput = Input::hidden;
static int64_t feature_count(const CreateInfo& info) { return info.encoder()->hidden; }
static std::vector<float> features(const Batch& in, int64_t row) {
  const View<const float> states = in.hidden(row);  // [tokens x width]
  const int64_t width = in.hidden_width(), words = states.size() / width - 2;
  std::vector<float> mean(static_cast<size_t>(width));
  for (int64_t i = 0; i < words * width; ++i)
    mean[i % width] += states[width + i] / static_cast<float>(words);
  return mean;
}
