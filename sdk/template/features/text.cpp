// What the expert sees of a text: how often each three bytes in a row come, in 1,024 buckets.
static constexpr Input kInput = Input::text;
static int64_t feature_count(const CreateInfo&) { return 1024; }
static std::vector<float> features(const Batch& in, int64_t row) {
  const std::string_view text = in.text(row);
  std::vector<float> counts(1024);
  uint32_t last = 0;  // the bytes up to here, the latest lowest
  for (const char c : text) {
    last = (last << 8 | static_cast<unsigned char>(c)) & 0xFFFFFF;
    counts[last * 2654435761U >> 22] += 1;
  }
  return counts;
}
