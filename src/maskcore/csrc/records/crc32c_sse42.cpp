// SPDX-License-Identifier: Apache-2.0
// CRC-32C by the instruction of SSE4.2. Compiled for it: nothing else may live here.
#include <nmmintrin.h>

#include "crc32c_interleaved.hpp"

namespace maskcore {
namespace {

struct Sse42 {
  static uint32_t add_word(uint32_t crc, uint64_t word) noexcept {
    return static_cast<uint32_t>(_mm_crc32_u64(crc, word));
  }
  static uint32_t add_byte(uint32_t crc, uint8_t byte) noexcept { return _mm_crc32_u8(crc, byte); }
};

}  // namespace

uint32_t update_crc32c_sse42(uint32_t crc, const uint8_t* bytes, size_t num_bytes) noexcept {
  return update_crc32c_interleaved<Sse42>(crc, bytes, num_bytes);
}

}  // namespace maskcore
