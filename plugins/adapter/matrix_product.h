// The one kernel of the adapter: products of float32 matrices on one core.
#ifndef MOECOLLAB_ADAPTER_MATRIX_PRODUCT_H_
#define MOECOLLAB_ADAPTER_MATRIX_PRODUCT_H_

#include <cstdint>
#include <vector>

namespace moecollab::adapter {

// A matrix to read; strides count elements, so that a transpose is a view.
struct Operand {
  const float* data;
  int64_t row_stride, column_stride;
};
inline Operand plain(const float* data, int64_t columns) { return {data, columns, 1}; }
inline Operand transposed(const float* data, int64_t columns) { return {data, 1, columns}; }

// A matrix [depth × n] laid out as a product reads it. To lay a matrix out takes as long as to
// multiply some rows by it, so one that stays the same is laid out once.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  PackedMatrix(Operand b, int64_t depth, int64_t n);

  int64_t depth() const { return depth_; }
  int64_t columns() const { return n_; }
  const float* panel(int64_t i) const { return panels_.data() + i * depth_ * kColumns; }

  static constexpr int kColumns = 16;  // of a panel

 private:
  int64_t depth_ = 0, n_ = 0;
  std::vector<float> panels_;  // [⌈n / kColumns⌉, depth, kColumns]; zeros for missing columns
};

// c [m × n] += a [m × depth] · b [depth × n]; c is row-major and overlaps neither operand.
// Every element is summed in the same order by the same instructions, whatever m is: a row of c
// depends on its row of a alone, to the bit.
void add_product(float* c, Operand a, const PackedMatrix& b, int64_t m);
inline void add_product(float* c, Operand a, Operand b, int64_t m, int64_t depth, int64_t n) {
  add_product(c, a, PackedMatrix(b, depth, n), m);
}

}  // namespace moecollab::adapter

#endif  // MOECOLLAB_ADAPTER_MATRIX_PRODUCT_H_
