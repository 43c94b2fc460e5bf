// SPDX-License-Identifier: Apache-2.0
// Where samples take their choices from: bytes that a fuzzer gives, then a generator seeded by those bytes.
// So a fuzzer steers what it can, short inputs still fill long rows, and a number is enough to repeat a sample.
#ifndef MASKCORE_TESTS_NATIVE_CHOICES_HPP_
#define MASKCORE_TESTS_NATIVE_CHOICES_HPP_

#include <cstddef>
#include <cstdint>

namespace maskcore_tests {

class Choices {
 public:
  Choices(const uint8_t* bytes, size_t num_bytes) : bytes_(bytes), num_bytes_(num_bytes) {
    for (size_t i = 0; i < num_bytes; ++i) state_ = (state_ ^ bytes[i]) * 0x100000001B3u;  // FNV-1a
  }

  explicit Choices(uint64_t seed) : state_(seed) {}

  // An integer in [low, high]; the modulus' bias does no harm here.
  int64_t between(int64_t low, int64_t high) {
    const uint64_t count = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1;
    uint64_t draw = 0;
    for (uint64_t covered = 1; covered != 0 && covered < count; covered <<= 8) draw = draw << 8 | byte();
    if (count == 0) draw = draw << 8 | byte();
    return static_cast<int64_t>(static_cast<uint64_t>(low) + (count == 0 ? draw : draw % count));
  }

  bool one_in(int64_t count) { return between(1, count) == 1; }

 private:
  uint8_t byte() {
    if (next_ < num_bytes_) return bytes_[next_++];
    // splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014)
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return static_cast<uint8_t>(z >> 56);
  }

  const uint8_t* bytes_ = nullptr;
  size_t num_bytes_ = 0;
  size_t next_ = 0;
  uint64_t state_ = 0xCBF29CE484222325u;
};

}  // namespace maskcore_tests

#endif  // MASKCORE_TESTS_NATIVE_CHOICES_HPP_
