#include "matrix_product.h"

#include <algorithm>
#include <vector>

namespace moecollab::adapter {
namespace {

// A tile of c: its sums stay in registers while the inner dimension runs.
constexpr int kRows = 4, kColumns = 16;

// Columns [first, first + kColumns) of b, one row after the other; zeros stand for missing columns.
void pack(float* panel, Operand b, int64_t depth, int64_t first, int64_t n) {
  const int64_t width = std::min<int64_t>(kColumns, n - first);
  for (int64_t p = 0; p < depth; ++p, panel += kColumns) {
    const float* from = b.data + p * b.row_stride + first * b.column_stride;
    for (int64_t q = 0; q < width; ++q) panel[q] = from[q * b.column_stride];
    std::fill(panel + width, panel + kColumns, 0.0F);
  }
}

// c's columns [first, first + kColumns), with vectors of kLanes floats.
template <int kLanes>
[[gnu::always_inline]] inline void tiles(float* c, Operand a, const float* panel, int64_t m,
                                         int64_t depth, int64_t n, int64_t first) {
  typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));
  constexpr int kVectors = kColumns / kLanes;
  const Vector* vectors = reinterpret_cast<const Vector*>(panel);
  const int64_t width = std::min<int64_t>(kColumns, n - first);
  for (int64_t i = 0; i < m; i += kRows) {
    // Missing rows repeat the last one, so that there is no second code path with other roundings.
    const float* row[kRows];
    for (int r = 0; r < kRows; ++r) row[r] = a.data + std::min(i + r, m - 1) * a.row_stride;
    Vector sum[kRows][kVectors] = {};
    for (int64_t p = 0; p < depth; ++p) {
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const float factor = row[r][p * a.column_stride];
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sum[r][v] += factor * vectors[p * kVectors + v];
      }
    }
    const int64_t rows = std::min<int64_t>(kRows, m - i);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t q = 0; q < width; ++q)
        c[(i + r) * n + first + q] += sum[r][q / kLanes][q % kLanes];
    }
  }
}

using Tiles = void (*)(float*, Operand, const float*, int64_t, int64_t, int64_t, int64_t);

void tiles_for_any(float* c, Operand a, const float* panel, int64_t m, int64_t depth, int64_t n,
                   int64_t first) {
  tiles<4>(c, a, panel, m, depth, n, first);
}

// A choice at run time by hand: target_clones would need ifunc, which not every platform has.
#if defined(__x86_64__)
[[gnu::target("avx2,fma")]] void tiles_for_avx2(float* c, Operand a, const float* panel, int64_t m,
                                                int64_t depth, int64_t n, int64_t first) {
  tiles<8>(c, a, panel, m, depth, n, first);
}
Tiles best_tiles() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? tiles_for_avx2
                                                                         : tiles_for_any;
}
#else
Tiles best_tiles() { return tiles_for_any; }
#endif

}  // namespace

void add_product(float* c, Operand a, Operand b, int64_t m, int64_t depth, int64_t n) {
  static const Tiles run = best_tiles();
  std::vector<float> panel(static_cast<size_t>(depth * kColumns));
  for (int64_t first = 0; first < n; first += kColumns) {
    pack(panel.data(), b, depth, first, n);
    run(c, a, panel.data(), m, depth, n, first);
  }
}

}  // namespace moecollab::adapter
