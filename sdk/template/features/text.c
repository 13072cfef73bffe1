/* What the expert sees of a text: how often each three bytes in a row come, in 1,024 buckets. */
enum { kInput = MOEC_INPUT_TEXT };
static int64_t width(const moec_encoder_info* encoder) {
  (void)encoder;
  return 1024;
}
static void see(const moec_row* row, float* x) {
  uint32_t last = 0; /* the bytes up to here, the latest lowest */
  for (uint64_t i = 0; i < row->text.size; ++i) {
    last = (last << 8 | (unsigned char)row->text.data[i]) & 0xFFFFFF;
    x[last * 2654435761u >> 22] += 1;
  }
}
