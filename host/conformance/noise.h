// Numbers of mean 0 and deviation 1, decided by a seed; a nanosecond each, since checks draw
// millions of them per process.
#pragma once

#include <cstdint>

namespace moecollab::conformance {

class Noise {
 public:
  explicit Noise(uint64_t seed) : state_(seed) {}

  // The sum of four uniform numbers of 16 bits, from one step of splitmix64; at most 3.5 from 0.
  float next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    const auto sum =
        static_cast<float>((z & 0xFFFF) + (z >> 16 & 0xFFFF) + (z >> 32 & 0xFFFF) + (z >> 48));
    return (sum - 2 * 65535.0F) / (65536.0F * 0.57735F);
  }

 private:
  uint64_t state_;
};

}  // namespace moecollab::conformance
