// SPDX-License-Identifier: Apache-2.0
// CRC-32C by the CRC extension of ARMv8. Compiled for it: nothing else may live here.
#include <arm_acle.h>

#include "crc32c_interleaved.hpp"

namespace maskcore {
namespace {

struct Armv8 {
  static uint32_t add_word(uint32_t crc, uint64_t word) noexcept { return __crc32cd(crc, word); }
  static uint32_t add_byte(uint32_t crc, uint8_t byte) noexcept { return __crc32cb(crc, byte); }
};

}  // namespace

uint32_t update_crc32c_armv8(uint32_t crc, const uint8_t* bytes, size_t num_bytes) noexcept {
  return update_crc32c_interleaved<Armv8>(crc, bytes, num_bytes);
}

}  // namespace maskcore
