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

// The last set bit at `from` or before it. The caller knows that there is one.
inline uint32_t previous_one(const uint64_t* bits, uint32_t from) noexcept {
  uint32_t word = from / kWordBits;
  const uint64_t rest = bits[word] << (kWordBits - 1 - from % kWordBits);
  if (rest != 0) return from - (kWordBits - 1 - highest_one(rest));
  do --word;
  while (bits[word] == 0);
  return word * kWordBits + highest_one(bits[word]);
}

// How many bits are set at `last` or before it.
inline uint32_t count_through(const uint64_t* bits, uint32_t last) noexcept {
  uint32_t count = 0;
  for (uint32_t word = 0; word < last / kWordBits; ++word) count += count_ones(bits[word]);
  return count + count_ones(bits[last / kWordBits] << (kWordBits - 1 - last % kWordBits));
}

inline uint32_t count_all(const uint64_t* bits, uint32_t words) noexcept {
  uint32_t count = 0;
  for (uint32_t word = 0; word < words; ++word) count += count_ones(bits[word]);
  return count;
}

// Sets bits [start, start + length), length >= 1; may write zeros' worth of one word past the end.
inline void set_range(uint64_t* bits, uint32_t start, uint32_t length) noexcept {
  uint32_t word = start / kWordBits;
  const uint32_t shift = start % kWordBits;
  const uint64_t ones = length >= kWordBits ? ~uint64_t{0} : (uint64_t{1} << length) - 1;
  bits[word] |= ones << shift;
  bits[word + 1] |= ones >> 1 >> (kWordBits - 1 - shift);
  if (__builtin_expect(length > kWordBits, 0)) set_range(bits, start + kWordBits, length - kWordBits);
}

inline void clear_range(uint64_t* bits, uint32_t start, uint32_t stop) noexcept {
  for (uint32_t index = start; index < stop; ++index) bits[index / kWordBits] &= ~(uint64_t{1} << (index % kWordBits));
}

// ORs the low bits of `word` in at bit `start`; bits above `length` are zero in `word`.
inline void append_bits(uint64_t* bits, uint32_t start, uint64_t word) noexcept {
  const uint32_t shift = start % kWordBits;
  bits[start / kWordBits] |= word << shift;
  bits[start / kWordBits + 1] |= word >> 1 >> (kWordBits - 1 - shift);
}

// 64 bits from bit `start` on.
inline uint64_t read_bits(const uint64_t* bits, uint32_t start) noexcept {
  const uint32_t shift = start % kWordBits;
  return bits[start / kWordBits] >> shift | bits[start / kWordBits + 1] << 1 << (kWordBits - 1 - shift);
}

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_BITS_HPP_
