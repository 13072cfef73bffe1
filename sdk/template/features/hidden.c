/* What the expert sees of a text: the mean of its tokens' states, without [CLS] and [SEP]. */
enum { kInput = MOEC_INPUT_HIDDEN };
static int64_t width(const moec_encoder_info* encoder) { return encoder->hidden; }
static void see(const moec_row* row, float* x) {
  const int64_t words = row->token_count - 2;
  for (int64_t t = 1; t <= words; ++t)
    for (int64_t i = 0; i < row->hidden_width; ++i)
      x[i] += row->hidden[t * row->hidden_width + i] / (float)words;
}
