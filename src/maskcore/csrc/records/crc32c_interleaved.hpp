// SPDX-License-Identifier: Apache-2.0
// CRC-32C by a processor's instruction for eight bytes, in three streams at once.
//
// Owns the interleaving and the joining of the streams; an `Instruction` supplies `add_word` and `add_byte`. The
// instruction takes three cycles and one can begin in each, so three streams keep it busy (Gopal et al., "Fast CRC
// computation for iSCSI polynomial using CRC32 instruction", Intel 2011).
#ifndef MASKCORE_RECORDS_CRC32C_INTERLEAVED_HPP_
#define MASKCORE_RECORDS_CRC32C_INTERLEAVED_HPP_

#include <string.h>

#include "crc32c.hpp"

namespace maskcore {

// The product of two polynomials modulo that of the checksum; bit 31 is the coefficient of x^0.
constexpr uint32_t multiply_modulo(uint32_t a, uint32_t b) noexcept {
  uint32_t product = 0;
  for (uint32_t power = uint32_t{1} << 31; power != 0; power >>= 1) {
    if ((a & power) != 0) product ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? kCrc32cPolynomial : 0);
  }
  return product;
}

// What kNumBytes zero bytes, a power of two, make of a register: it is multiplied by x^(8 kNumBytes).
template <size_t kNumBytes>
struct ZeroBytes {
  uint32_t after[4][256];

  constexpr ZeroBytes() noexcept : after() {
    uint32_t factor = uint32_t{1} << (31 - 8);  // x^8
    for (size_t num_bytes = 1; num_bytes < kNumBytes; num_bytes *= 2) factor = multiply_modulo(factor, factor);
    for (int byte = 0; byte < 4; ++byte) {
      for (uint32_t value = 1; value < 256; ++value) {
        const uint32_t others = value & (value - 1), lowest = value ^ others;
        after[byte][value] =
            others != 0 ? after[byte][others] ^ after[byte][lowest] : multiply_modulo(lowest << 8 * byte, factor);
      }
    }
  }

  uint32_t operator()(uint32_t crc) const noexcept {
    return after[0][crc & 0xFF] ^ after[1][crc >> 8 & 0xFF] ^ after[2][crc >> 16 & 0xFF] ^ after[3][crc >> 24];
  }
};

template <class Instruction>
uint32_t add_word_at(uint32_t crc, const uint8_t* bytes) noexcept {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return Instruction::add_word(crc, word);
}

// As long as three streams of kStreamBytes remain.
template <class Instruction, size_t kStreamBytes>
uint32_t add_three_streams(uint32_t crc, const uint8_t*& bytes, size_t& num_bytes) noexcept {
  static constexpr ZeroBytes<kStreamBytes> kAfterStream;
  for (; num_bytes >= 3 * kStreamBytes; bytes += 3 * kStreamBytes, num_bytes -= 3 * kStreamBytes) {
    uint32_t second = 0, third = 0;
    for (size_t i = 0; i < kStreamBytes; i += 8) {
      crc = add_word_at<Instruction>(crc, bytes + i);
      second = add_word_at<Instruction>(second, bytes + kStreamBytes + i);
      third = add_word_at<Instruction>(third, bytes + 2 * kStreamBytes + i);
    }
    crc = kAfterStream(kAfterStream(crc) ^ second) ^ third;
  }
  return crc;
}

template <class Instruction>
uint32_t update_crc32c_interleaved(uint32_t crc, const uint8_t* bytes, size_t num_bytes) noexcept {
  // A record of a few hundred bytes, and long ones.
  crc = add_three_streams<Instruction, 1024>(crc, bytes, num_bytes);
  crc = add_three_streams<Instruction, 64>(crc, bytes, num_bytes);
  for (; num_bytes >= 8; bytes += 8, num_bytes -= 8) crc = add_word_at<Instruction>(crc, bytes);
  for (; num_bytes != 0; ++bytes, --num_bytes) crc = Instruction::add_byte(crc, *bytes);
  return crc;
}

}  // namespace maskcore

#endif  // MASKCORE_RECORDS_CRC32C_INTERLEAVED_HPP_
