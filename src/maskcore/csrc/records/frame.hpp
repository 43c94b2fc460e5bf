// SPDX-License-Identifier: Apache-2.0
// The frame of a TFRecord: length, its checksum, the message, its checksum.
//
// Owns its numbers and how one frame is written; tensorflow/core/lib/io/record_writer.h says the format. Knows nothing
// of what a message holds.
#ifndef MASKCORE_RECORDS_FRAME_HPP_
#define MASKCORE_RECORDS_FRAME_HPP_

#include <string.h>

#include "crc32c.hpp"

namespace maskcore {

constexpr int64_t kLengthBytes = 8;
constexpr int64_t kChecksumBytes = 4;
constexpr int64_t kBytesBefore = kLengthBytes + kChecksumBytes;
constexpr int64_t kBytesBehind = kChecksumBytes;
constexpr int64_t kFrameBytes = kBytesBefore + kBytesBehind;

// tensorflow/core/lib/hash/crc32c.h: a checksum of bytes that hold checksums is weak, so it is changed before it is
// stored.
inline uint32_t masked_crc32c(UpdateCrc32c update, const uint8_t* bytes, int64_t num_bytes) noexcept {
  const uint32_t crc = crc32c(update, bytes, static_cast<size_t>(num_bytes));
  return (crc >> 15 | crc << 17) + 0xA282EAD8;
}

// Writes what goes around a message that lies kBytesBefore behind `record`.
inline void write_frame(UpdateCrc32c update, uint8_t* record, int64_t message_bytes) noexcept {
  memcpy(record, &message_bytes, kLengthBytes);
  const uint32_t of_length = masked_crc32c(update, record, kLengthBytes);
  memcpy(record + kLengthBytes, &of_length, kChecksumBytes);
  uint8_t* const message = record + kBytesBefore;
  const uint32_t of_message = masked_crc32c(update, message, message_bytes);
  memcpy(message + message_bytes, &of_message, kChecksumBytes);
}

// Whether the masked checksum of the bytes is the one that is stored behind them.
inline bool is_followed_by_checksum(UpdateCrc32c update, const uint8_t* bytes, int64_t num_bytes) noexcept {
  uint32_t stored;
  memcpy(&stored, bytes + num_bytes, kChecksumBytes);
  return stored == masked_crc32c(update, bytes, num_bytes);
}

}  // namespace maskcore

#endif  // MASKCORE_RECORDS_FRAME_HPP_
