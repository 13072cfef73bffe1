static void features_vjp(const Batch&, int64_t, const std::vector<float>&,
                         const std::vector<float*>&) {}  // no float input, no gradient
