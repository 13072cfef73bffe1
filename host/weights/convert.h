// From the elements of a file to float32.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "weights/tensor.h"

namespace moecollab::weights {

// Converts F32, F16 or BF16 elements, exactly, at any alignment; NaN stays NaN. Refuses other
// dtypes with E_ST_DTYPE. `out` must have one float for each element (std::logic_error).
void copy_f32(const TensorView& tensor, std::span<float> out);

std::vector<float> to_f32(const TensorView& tensor);

// Index of the first NaN or infinite element, over all dtypes that have such values.
std::optional<size_t> first_nonfinite(const TensorView& tensor);

}  // namespace moecollab::weights
