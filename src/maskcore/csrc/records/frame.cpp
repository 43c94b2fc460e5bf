// SPDX-License-Identifier: Apache-2.0
// Batches of TFRecords: framing messages, and checking what was framed.
#include "frame.hpp"

#include "maskcore_records.h"

extern "C" {

int32_t maskcore_frame_messages(const uint8_t* messages, const int64_t* stops, int64_t num_messages, uint8_t* records) {
  if (num_messages < 0) return MASKCORE_RECORDS_BAD_CALL;
  if (num_messages > 0 && (messages == nullptr || stops == nullptr || records == nullptr))
    return MASKCORE_RECORDS_BAD_CALL;
  const maskcore::UpdateCrc32c update = maskcore::best_crc32c();
  int64_t start = 0;
  for (int64_t i = 0; i < num_messages; ++i) {
    const int64_t num_bytes = stops[i] - start;
    if (num_bytes < 0) return MASKCORE_RECORDS_BAD_CALL;
    memcpy(records + maskcore::kBytesBefore, messages + start, static_cast<size_t>(num_bytes));
    maskcore::write_frame(update, records, num_bytes);
    records += num_bytes + maskcore::kFrameBytes;
    start = stops[i];
  }
  return MASKCORE_RECORDS_OK;
}

int32_t maskcore_check_records(const uint8_t* bytes, int64_t num_bytes, int64_t max_records, int64_t* stops,
                               int64_t* num_records) {
  if (num_bytes < 0 || max_records < 0 || num_records == nullptr) return MASKCORE_RECORDS_BAD_CALL;
  if ((bytes == nullptr && num_bytes > 0) || (stops == nullptr && max_records > 0)) return MASKCORE_RECORDS_BAD_CALL;
  const maskcore::UpdateCrc32c update = maskcore::best_crc32c();
  int64_t start = 0;
  for (*num_records = 0; *num_records < max_records; ++*num_records) {
    const int64_t remaining = num_bytes - start;
    if (remaining < maskcore::kBytesBefore) break;
    if (!maskcore::is_followed_by_checksum(update, bytes + start, maskcore::kLengthBytes))
      return MASKCORE_RECORDS_LENGTH_DAMAGED;
    uint64_t length;
    memcpy(&length, bytes + start, maskcore::kLengthBytes);
    if (remaining < maskcore::kFrameBytes || length > static_cast<uint64_t>(remaining - maskcore::kFrameBytes)) break;
    const int64_t message_bytes = static_cast<int64_t>(length);
    if (!maskcore::is_followed_by_checksum(update, bytes + start + maskcore::kBytesBefore, message_bytes))
      return MASKCORE_RECORDS_CONTENT_DAMAGED;
    start += message_bytes + maskcore::kFrameBytes;
    stops[*num_records] = start;
  }
  return MASKCORE_RECORDS_OK;
}

}  // extern "C"
