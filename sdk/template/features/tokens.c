/* What the expert sees of a text: how often each of its tokens comes, counted in 1,024 buckets. */
enum { kInput = MOEC_INPUT_TOKENS };
static int64_t width(const moec_encoder_info* encoder) {
  (void)encoder;
  return 1024;
}
static void see(const moec_row* row, float* x) {
  for (int64_t t = 0; t < row->token_count; ++t) x[row->tokens[t] % 1024] += 1;
}
