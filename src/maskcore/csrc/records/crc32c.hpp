// SPDX-License-Identifier: Apache-2.0
// CRC-32C, the checksum of TFRecord frames, and the ways in which machines compute it.
//
// Owns the levels' common signature. Knows nothing of frames.
#ifndef MASKCORE_RECORDS_CRC32C_HPP_
#define MASKCORE_RECORDS_CRC32C_HPP_

#include <stddef.h>
#include <stdint.h>

namespace maskcore {

// RFC 3720, 12.1: 0x11EDC6F41, here without its highest bit and with the lowest power first.
constexpr uint32_t kCrc32cPolynomial = 0x82F63B78;

// Takes and returns the register as it is: callers invert it before and after.
using UpdateCrc32c = uint32_t (*)(uint32_t crc, const uint8_t* bytes, size_t num_bytes) noexcept;

uint32_t update_crc32c_table(uint32_t crc, const uint8_t* bytes, size_t num_bytes) noexcept;
uint32_t update_crc32c_sse42(uint32_t crc, const uint8_t* bytes, size_t num_bytes) noexcept;
uint32_t update_crc32c_armv8(uint32_t crc, const uint8_t* bytes, size_t num_bytes) noexcept;

// The best level that this machine can run.
UpdateCrc32c best_crc32c() noexcept;

inline uint32_t crc32c(UpdateCrc32c update, const uint8_t* bytes, size_t num_bytes) noexcept {
  return ~update(~uint32_t{0}, bytes, num_bytes);
}

}  // namespace maskcore

#endif  // MASKCORE_RECORDS_CRC32C_HPP_
