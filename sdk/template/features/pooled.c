/* What the expert sees of a text: the encoder's mean features. */
enum { kInput = MOEC_INPUT_POOLED };
static int64_t width(const moec_encoder_info* encoder) { return encoder->hidden; }
static void see(const moec_row* row, float* x) {
  for (int64_t i = 0; i < row->hidden_width; ++i) x[i] = row->pooled[i];
}
