// gx[0] [tokens x width]: the loss's gradient for the states, given that for `row`'s features.
static void features_vjp(const Batch& in, int64_t row, const std::vector<float>& g,
                         const std::vector<float*>& gx) {
  if (gx[0] == nullptr) return;
  const int64_t width = in.hidden_width(), words = in.hidden(row).size() / width - 2;
  float* out = gx[0] + in.first_token(row) * width;
  std::fill_n(out, (words + 2) * width, 0.0F);
  for (int64_t i = 0; i < words * width; ++i)
    out[width + i] = g[i % width] / static_cast<float>(words);
}
