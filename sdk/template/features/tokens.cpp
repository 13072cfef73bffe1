// What the expert sees of a text: how often each of its tokens comes, counted in 1,024 buckets.
static constexpr Input kInput = Input::tokens;
static int64_t feature_count(const CreateInfo&) { return 1024; }
static std::vector<float> features(const Batch& in, int64_t row) {
  std::vector<float> counts(1024);
  for (const int32_t token : in.tokens(row)) counts[token % 1024] += 1;
  return counts;
}
