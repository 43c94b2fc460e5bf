// SPDX-License-Identifier: Apache-2.0
// Rows as bits: token t is bit t mod 64 of word t / 64. Finding, counting and marking; knows nothing of masking.
#ifndef MASKCORE_BITS_HPP_
#define MASKCORE_BITS_HPP_

#include <stdint.h>
#include <string.h>

namespace maskcore {
namespace {

constexpr uint32_t kWordBits = 64;

constexpr uint32_t num_words(uint32_t num_bits) { return (num_bits + kWordBits - 1) / kWordBits; }

inline uint32_t count_ones(uint64_t word) noexcept { return static_cast<uint32_t>(__builtin_popcountll(word)); }

// Index of the lowest set bit; `word` is not zero.
inline uint32_t lowest_one(uint64_t word) noexcept { return static_cast<uint32_t>(__builtin_ctzll(word)); }

// Index of the highest set bit; `word` is not zero.
inline uint32_t highest_one(uint64_t word) noexcept { return 63u - static_cast<uint32_t>(__builtin_clzll(word)); }

inline bool get_bit(const uint64_t* bits, uint32_t index) noexcept {
  return (bits[index / kWordBits] >> (index % kWordBits) & 1) != 0;
}

// The first set bit at `from` or after it. The caller keeps a set bit past the end.
inline uint32_t next_one(const uint64_t* bits, uint32_t from) noexcept {
  uint32_t word = from / kWordBits;
  const uint64_t rest = bits[word] >> (from % kWordBits);
  if (rest != 0) return from + lowest_one(rest);
  do ++word;
  while (bits[word] == 0);
  return word * kWordBits + lowest_one(bits[word]);
}

// How far it is from `from` to the next set bit after it. The caller keeps a set bit past the end.
inline uint64_t distance_to_next_one(const uint64_t* bits, uint64_t from) noexcept {
  const uint64_t after = from + 1;
  const uint64_t rest = bits[after / kWordBits] >> (after % kWordBits);
  if (__builtin_expect(rest != 0, 1)) return uint64_t{1} + static_cast<uint64_t>(__builtin_ctzll(rest));
  return next_one(bits, static_cast<uint32_t>(after)) - from;
}

// The last set bit at `from` or before it. The caller knows that there is one.
inline uint32_t previous_one(const uint64_t* bits, uint32_t from) noexcept {
  uint32_t word = from / kWordBits;
  const uint64_t rest = bits[word] << (kWordBits - 1 - from % kWordBits);
  if (rest != 0) return from - (kWordBits - 1 - highest_one(rest));
  do --word;
  while (bits[word] == 0);
  return word * kWordBits + highest_one(bits[word]);
}

inline uint32_t count_all(const uint64_t* bits, uint32_t words) noexcept {
  uint32_t count = 0;
  for (uint32_t word = 0; word < words; ++word) count += count_ones(bits[word]);
  return count;
}

inline void set_bit(uint64_t* bits, uint32_t index) noexcept {
  bits[index / kWordBits] |= uint64_t{1} << (index % kWordBits);
}

inline void clear_all(uint64_t* bits, uint32_t words) noexcept {
  for (uint32_t word = 0; word < words; ++word) bits[word] = 0;
}

// Sets bits [start, start + length), length >= 1; may write zeros' worth of one word past the end.
inline void set_range(uint64_t* bits, uint32_t start, uint32_t length) noexcept {
  const uint32_t shift = start % kWordBits;
  uint32_t word = start / kWordBits;
  for (;; ++word, length -= kWordBits) {
    const uint64_t ones = length >= kWordBits ? ~uint64_t{0} : (uint64_t{1} << length) - 1;
    bits[word] |= ones << shift;
    bits[word + 1] |= ones >> 1 >> (kWordBits - 1 - shift);
    if (__builtin_expect(length <= kWordBits, 1)) return;
  }
}

inline void clear_range(uint64_t* bits, uint32_t start, uint32_t stop) noexcept {
  for (uint32_t index = start; index < stop; ++index) bits[index / kWordBits] &= ~(uint64_t{1} << (index % kWordBits));
}

// 64 bits from bit `start` on.
inline uint64_t read_bits(const uint64_t* bits, uint32_t start) noexcept {
  const uint32_t shift = start % kWordBits;
  return bits[start / kWordBits] >> shift | bits[start / kWordBits + 1] << 1 << (kWordBits - 1 - shift);
}

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_BITS_HPP_
