// The one kernel of the adapter: products of float32 matrices on one core.
#ifndef MOECOLLAB_ADAPTER_MATRIX_PRODUCT_H_
#define MOECOLLAB_ADAPTER_MATRIX_PRODUCT_H_

#include <cstdint>

namespace moecollab::adapter {

// A matrix to read; strides count elements, so that a transpose is a view.
struct Operand {
  const float* data;
  int64_t row_stride, column_stride;
};
inline Operand plain(const float* data, int64_t columns) { return {data, columns, 1}; }
inline Operand transposed(const float* data, int64_t columns) { return {data, 1, columns}; }

// c [m × n] += a [m × depth] · b [depth × n]; c is row-major and overlaps neither operand.
// Every element is summed in the same order by the same instructions, whatever m is: a row of c
// depends on its row of a alone, to the bit.
void add_product(float* c, Operand a, Operand b, int64_t m, int64_t depth, int64_t n);

}  // namespace moecollab::adapter

#endif  // MOECOLLAB_ADAPTER_MATRIX_PRODUCT_H_
