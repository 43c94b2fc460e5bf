// SPDX-License-Identifier: Apache-2.0
// The plain encoder; naive_records.hpp says what for.
#include "naive_records.hpp"

#include "maskcore_records.h"

namespace maskcore_tests {
namespace {

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value > 127; value /= 128) bytes += static_cast<char>(value % 128 + 128);
  return bytes + static_cast<char>(value);
}

std::string field(int32_t number, const std::string& content) {
  return static_cast<char>(number * 8 + 2) + varint(content.size()) + content;
}

std::string little_endian(uint64_t value, int num_bytes) {
  std::string bytes;
  for (int i = 0; i < num_bytes; ++i, value /= 256) bytes += static_cast<char>(value % 256);
  return bytes;
}

std::string stored_checksum(const std::string& bytes) {
  const uint64_t crc = naive_crc32c(bytes);
  return little_endian(crc / 32768 + crc * 131072 + 0xA282EAD8, 4);  // a rotation to the right by 15 of 32 bits
}

}  // namespace

uint32_t naive_crc32c(const std::string& bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc % 2 == 1 ? crc / 2 ^ 0x82F63B78 : crc / 2;
  }
  return crc ^ 0xFFFFFFFF;
}

std::string naive_message(const std::vector<NaiveFeature>& features) {
  std::string entries;
  for (const NaiveFeature& feature : features) {
    std::string list = feature.bytes;
    for (const int64_t number : feature.numbers) list += varint(static_cast<uint64_t>(number));
    entries += field(1, field(1, feature.name) + field(2, field(feature.kind, field(1, list))));
  }
  return field(1, entries);
}

std::string naive_record(const std::string& message) {
  const std::string length = little_endian(message.size(), 8);
  return length + stored_checksum(length) + message + stored_checksum(message);
}

}  // namespace maskcore_tests
