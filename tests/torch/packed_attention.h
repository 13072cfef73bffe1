// Attention over packed sequences for the test device, as CUDA has it: the operators that GPUs run,
// with their demands, computed sequence by sequence.
#pragma once

namespace moecollab::testing {

// Registers aten::_flash_attention_forward and aten::_efficient_attention_forward for the test
// device, once per process. use_test_device() must have come before.
void use_packed_attention();

}  // namespace moecollab::testing
