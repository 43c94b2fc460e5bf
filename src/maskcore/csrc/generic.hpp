// SPDX-License-Identifier: Apache-2.0
// Primitives that need no instruction of their own: shared by the isa_*.cpp files, compiled in each for its instruction set.
#ifndef MASKCORE_GENERIC_HPP_
#define MASKCORE_GENERIC_HPP_

#include "bits.hpp"
#include "lengths.hpp"

namespace maskcore {
namespace {

// Bits of a condition on tokens: 64 flags at a time, which compilers turn into vector compares.
template <class Isa, class Condition>
inline void condition_bits(uint32_t length, Condition holds, uint64_t* bits) noexcept {
  uint8_t flags[kWordBits];
  for (uint32_t first = 0; first < length; first += kWordBits) {
    const uint32_t count = length - first < kWordBits ? length - first : kWordBits;
    for (uint32_t t = 0; t < count; ++t) flags[t] = holds(first + t) ? 1 : 0;
    Isa::nonzero_bits(flags, count, bits + first / kWordBits);
  }
}

// Token 0 and tokens with another id than the one before.
template <class Isa>
inline void generic_changed_bits(const int32_t* ids, uint32_t length, uint64_t* bits) noexcept {
  condition_bits<Isa>(length, [ids](uint32_t t) { return ids[t] != ids[t - (t != 0)]; }, bits);
  bits[0] |= 1;
}

// Token 0, tokens without a word, and tokens with another word than the one before.
template <class Isa>
inline void generic_word_start_bits(const int32_t* ids, uint32_t length, uint64_t* bits) noexcept {
  condition_bits<Isa>(length, [ids](uint32_t t) { return (ids[t] < 0) | (ids[t] != ids[t - (t != 0)]); }, bits);
  bits[0] |= 1;
}

template <class Position>
inline uint32_t generic_list_ones(const uint64_t* bits, uint32_t words, Position* list) noexcept {
  uint32_t count = 0;
  for (uint32_t word = 0; word < words; ++word) {
    for (uint64_t rest = bits[word]; rest != 0; rest &= rest - 1)
      list[count++] = static_cast<Position>(word * kWordBits + lowest_one(rest));
  }
  return count;
}

// Piece lengths written in unary: piece p owns `kStride` bits, of which as many are valid as it has units, and the first is its cut.
// Extracting the valid bits of many pieces at once lays the pieces end to end.
template <int kStride>
struct UnaryPieces {
  static constexpr uint32_t kPieces = kWordBits / kStride;
  static constexpr uint64_t kCuts = ~uint64_t{0} / ((uint64_t{1} << kStride) - 1);

  // reached[j] holds one bit a piece: is it longer than law.shortest + j? Bits of pieces past `num_pieces` are dropped.
  template <class Isa>
  static uint32_t append(const LengthLaw& law, const uint64_t* reached, uint32_t num_pieces, uint32_t unit,
                         uint64_t* cuts) noexcept {
    uint64_t valid = kCuts * ((uint64_t{1} << law.shortest) - 1);
    for (uint32_t j = 0; j < law.num_thresholds; ++j)
      valid |= Isa::deposit_bits(reached[j], kCuts << (law.shortest + j));
    if (num_pieces < kPieces) valid &= (uint64_t{1} << (num_pieces * kStride)) - 1;
    append_bits(cuts, unit, Isa::extract_bits(kCuts, valid));
    return unit + count_ones(valid);
  }
};

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_GENERIC_HPP_
