// What the expert sees of a text: the encoder's mean features.
static constexpr Input kInput = Input::pooled_mean;
static int64_t feature_count(const CreateInfo& info) { return info.encoder()->hidden; }
static std::vector<float> features(const Batch& in, int64_t row) {
  return {in.pooled(row).begin(), in.pooled(row).end()};
}
