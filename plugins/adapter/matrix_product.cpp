#include "matrix_product.h"

#include <algorithm>
#include <vector>

namespace moecollab::adapter {
namespace {

// A tile of c: its sums stay in registers while the inner dimension runs.
constexpr int kRows = 4, kColumns = PackedMatrix::kColumns;

// Columns [first, first + kColumns) of b, one row after the other.
void pack(float* panel, Operand b, int64_t depth, int64_t first, int64_t n) {
  const int64_t width = std::min<int64_t>(kColumns, n - first);
  for (int64_t p = 0; p < depth; ++p, panel += kColumns) {
    const float* from = b.data + p * b.row_stride + first * b.column_stride;
    for (int64_t q = 0; q < width; ++q) panel[q] = from[q * b.column_stride];
  }
}

// `width` columns of kCount rows of c, with vectors of kLanes floats. Each sum takes the same steps
// whatever kCount is.
template <int kLanes, int kCount>
[[gnu::always_inline]] inline void tile(float* c, Operand a, const float* panel, int64_t depth,
                                        int64_t n, int64_t width) {
  typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));
  constexpr int kVectors = kColumns / kLanes;
  const Vector* vectors = reinterpret_cast<const Vector*>(panel);
  Vector sum[kCount][kVectors] = {};
  for (int64_t p = 0; p < depth; ++p) {
#pragma GCC unroll 4
    for (int r = 0; r < kCount; ++r) {
      const float factor = a.data[r * a.row_stride + p * a.column_stride];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] += factor * vectors[p * kVectors + v];
    }
  }
  for (int r = 0; r < kCount; ++r) {
    for (int64_t q = 0; q < width; ++q) c[r * n + q] += sum[r][q / kLanes][q % kLanes];
  }
}

// All rows of c's columns from c on.
template <int kLanes>
[[gnu::always_inline]] inline void tiles(float* c, Operand a, const float* panel, int64_t m,
                                         int64_t depth, int64_t n, int64_t width) {
  int64_t i = 0;
  for (; i + kRows <= m; i += kRows, c += kRows * n, a.data += kRows * a.row_stride)
    tile<kLanes, kRows>(c, a, panel, depth, n, width);
  for (; i < m; ++i, c += n, a.data += a.row_stride) tile<kLanes, 1>(c, a, panel, depth, n, width);
}

using Tiles = void (*)(float*, Operand, const float*, int64_t, int64_t, int64_t, int64_t);

void tiles_for_any(float* c, Operand a, const float* panel, int64_t m, int64_t depth, int64_t n,
                   int64_t width) {
  tiles<4>(c, a, panel, m, depth, n, width);
}

// A choice at run time by hand: target_clones would need ifunc, which not every platform has.
#if defined(__x86_64__)
[[gnu::target("avx2,fma")]] void tiles_for_avx2(float* c, Operand a, const float* panel, int64_t m,
                                                int64_t depth, int64_t n, int64_t width) {
  tiles<8>(c, a, panel, m, depth, n, width);
}
Tiles best_tiles() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? tiles_for_avx2
                                                                         : tiles_for_any;
}
#else
Tiles best_tiles() { return tiles_for_any; }
#endif

}  // namespace

PackedMatrix::PackedMatrix(Operand b, int64_t depth, int64_t n)
    : depth_(depth),
      n_(n),
      panels_(static_cast<size_t>((n + kColumns - 1) / kColumns * kColumns * depth)) {
  float* panel = panels_.data();
  for (int64_t first = 0; first < n; first += kColumns, panel += depth * kColumns)
    pack(panel, b, depth, first, n);
}

void add_product(float* c, Operand a, const PackedMatrix& b, int64_t m) {
  static const Tiles run = best_tiles();
  const int64_t n = b.columns();
  for (int64_t i = 0; i * kColumns < n; ++i) {
    const int64_t first = i * kColumns;
    run(c + first, a, b.panel(i), m, b.depth(), n, std::min<int64_t>(kColumns, n - first));
  }
}

}  // namespace moecollab::adapter
