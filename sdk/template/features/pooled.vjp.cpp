// gx[0] [rows x features]: the loss's gradient for the encoder's features, given that for `row`'s.
static void features_vjp(const Batch&, int64_t row, const std::vector<float>& g,
                         const std::vector<float*>& gx) {
  if (gx[0] != nullptr) std::copy(g.begin(), g.end(), gx[0] + row * static_cast<int64_t>(g.size()));
}
