// SPDX-License-Identifier: Apache-2.0
// Varints: numbers in groups of seven bits, lowest first, all bytes but the last with their highest bit set.
//
// Owns single numbers and lists of them (protobuf.dev/programming-guides/encoding). Knows nothing of messages. Readers
// take no varint of ten bytes: it would be negative as an int64.
#ifndef MASKCORE_RECORDS_VARINT_HPP_
#define MASKCORE_RECORDS_VARINT_HPP_

#include <stdint.h>
#include <string.h>

namespace maskcore {

constexpr int kMaxVarintBytes = 9;    // of a number below 2^63
constexpr int kMaxWrittenBytes = 10;  // of any number

inline int64_t varint_bytes(uint64_t value) noexcept {
  const int highest_bit = 63 - __builtin_clzll(value | 1);
  return highest_bit / 7 + 1;
}

inline uint8_t* write_varint(uint8_t* at, uint64_t value) noexcept {
  for (; value >= 0x80; value >>= 7) *at++ = static_cast<uint8_t>(value | 0x80);
  *at++ = static_cast<uint8_t>(value);
  return at;
}

// Returns null where the bytes end first, or the number has more than 63 bits.
inline const uint8_t* read_varint(const uint8_t* at, const uint8_t* end, uint64_t* value) noexcept {
  *value = 0;
  for (int shift = 0; shift < 7 * kMaxVarintBytes && at != end; shift += 7) {
    const uint8_t byte = *at++;
    *value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return at;
  }
  return nullptr;
}

template <class Int>
int64_t count_at_least(const Int* values, int64_t length, Int limit) noexcept {
  constexpr int64_t kBlock = 4096;  // its count fits every Int that has a limit, so that vectors stay narrow
  int64_t count = 0;
  for (int64_t start = 0; start < length; start += kBlock) {
    const int64_t stop = start + kBlock < length ? start + kBlock : length;
    Int of_block = 0;
    for (int64_t i = start; i < stop; ++i) of_block = static_cast<Int>(of_block + (values[i] >= limit));
    count += of_block;
  }
  return count;
}

// How many bytes the varints of a list take; -1 where a value is negative.
template <class Int>
int64_t list_bytes(const Int* values, int64_t length) noexcept {
  Int all_bits = 0;
  for (int64_t i = 0; i < length; ++i) all_bits = static_cast<Int>(all_bits | values[i]);
  if (all_bits < 0) return -1;
  int64_t num_bytes = length;
  for (unsigned bits = 7; bits < 8 * sizeof(Int) - 1 && (all_bits >> bits) != 0; bits += 7)
    num_bytes += count_at_least(values, length, static_cast<Int>(Int{1} << bits));
  return num_bytes;
}

// Four bytes of a number below 2^28: its varint, and zeros.
inline uint32_t spread_groups(uint32_t value) noexcept {
  return (value & 0x7F) | (value << 1 & 0x7F00) | (value << 2 & 0x7F0000) | (value << 3 & 0x7F000000);
}

// Writes a list of values, each of which needs kMaxWrittenBytes of room.
template <class Int>
uint8_t* write_list_unchecked(uint8_t* at, const Int* values, int64_t length) noexcept {
  for (int64_t i = 0; i < length; ++i) {
    const uint64_t value = static_cast<uint64_t>(values[i]);
    if (value >= uint64_t{1} << 28) {
      at = write_varint(at, value);
      continue;
    }
    // Comparisons, since bsr, all that x86-64 has for sure, is slow on AMD: 1.9 instead of 4.3 ns a value on an EPYC.
    const unsigned num_more = (value >= 1u << 7) + (value >= 1u << 14) + (value >= 1u << 21);
    const uint32_t goes_on = 0x80808080u & ((1u << 8 * num_more) - 1);
    const uint32_t encoded = spread_groups(static_cast<uint32_t>(value)) | goes_on;
    memcpy(at, &encoded, sizeof encoded);
    at += 1 + num_more;
  }
  return at;
}

// The same within [at, end); null where the list does not fit.
template <class Int>
uint8_t* write_list(uint8_t* at, const uint8_t* end, const Int* values, int64_t length) noexcept {
  for (int64_t i = 0; i < length; ++i) {
    const uint64_t value = static_cast<uint64_t>(values[i]);
    if (end - at < varint_bytes(value)) return nullptr;
    at = write_varint(at, value);
  }
  return at;
}

// The groups of a word's first num_bytes bytes, in [1, 8], as a number.
inline uint64_t join_groups(uint64_t word, int num_bytes) noexcept {
  word &= 0x7F7F7F7F7F7F7F7Fu & (~uint64_t{0} >> 8 * (8 - num_bytes));
  word = (word & 0x007F007F007F007Fu) | (word >> 1 & 0x3F803F803F803F80u);
  word = (word & 0x00003FFF00003FFFu) | (word >> 2 & 0x0FFFC0000FFFC000u);
  return (word & 0x000000000FFFFFFFu) | (word >> 4 & 0x00FFFFFFF0000000u);
}

// Reads `length` varints, which must fill [at, end). Loads a word where the readable bytes go on to `readable_end`.
inline bool read_list(const uint8_t* at, const uint8_t* end, const uint8_t* readable_end, int64_t* values,
                      int64_t length) noexcept {
  constexpr uint64_t kHighBits = 0x8080808080808080u;
  for (int64_t i = 0; i < length; ++i) {
    uint64_t word = kHighBits;
    if (readable_end - at >= static_cast<int64_t>(sizeof word)) memcpy(&word, at, sizeof word);
    const uint64_t ends = ~word & kHighBits;
    if (ends != 0) {
      const int num_bytes = __builtin_ctzll(ends) / 8 + 1;
      values[i] = static_cast<int64_t>(join_groups(word, num_bytes));
      at += num_bytes;
      if (at > end) return false;
    } else {
      uint64_t value = 0;
      at = read_varint(at, end, &value);
      if (at == nullptr) return false;
      values[i] = static_cast<int64_t>(value);
    }
  }
  return at == end;
}

}  // namespace maskcore

#endif  // MASKCORE_RECORDS_VARINT_HPP_
