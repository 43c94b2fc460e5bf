// SPDX-License-Identifier: Apache-2.0
// What a tf.train.Example of fixed layout looks like, for its writer and its reader.
//
// Owns the tags, the checks of a call, and where its messages lie. An Example is nested four deep, each level a tag and
// a length before its content: Features, map entry (key and value), Feature, list.
#ifndef MASKCORE_RECORDS_EXAMPLE_HPP_
#define MASKCORE_RECORDS_EXAMPLE_HPP_

#include <stdint.h>

#include "frame.hpp"
#include "maskcore_records.h"

namespace maskcore {

// tensorflow/core/example/{example,feature}.proto; all are length-delimited (wire type 2): tag = number << 3 | 2.
constexpr uint8_t length_delimited(int32_t number) noexcept { return static_cast<uint8_t>(number << 3 | 2); }

constexpr uint8_t kExampleFeatures = length_delimited(1);
constexpr uint8_t kFeaturesEntry = length_delimited(1);
constexpr uint8_t kEntryKey = length_delimited(1);
constexpr uint8_t kEntryValue = length_delimited(2);
constexpr uint8_t kListValue = length_delimited(1);

constexpr int64_t kFloatBytes = 4;

inline bool is_sound(const maskcore_feature& feature) noexcept {
  if (feature.name == nullptr || feature.name_bytes < 0 || feature.name_bytes > MASKCORE_MAX_NAME_BYTES) return false;
  if (feature.column == nullptr || feature.length < 1 || feature.length > MASKCORE_MAX_FEATURE_LENGTH) return false;
  const int32_t size = feature.item_bytes;
  switch (feature.kind) {
    case MASKCORE_BYTES_LIST:
      return size == 1;
    case MASKCORE_FLOAT_LIST:
      return size == kFloatBytes;
    case MASKCORE_INT64_LIST:
      return size == 1 || size == 2 || size == 4 || size == 8;
    default:
      return false;
  }
}

inline bool is_sound(const maskcore_rows* rows) noexcept {
  if (rows == nullptr || rows->num_rows < 0 || rows->num_features < 1) return false;
  if (rows->num_features > MASKCORE_MAX_FEATURES || rows->features == nullptr) return false;
  for (int64_t i = 0; i < rows->num_features; ++i) {
    if (!is_sound(rows->features[i])) return false;
  }
  return rows->num_rows == 0 || rows->stops != nullptr;
}

// Where a row's message lies.
struct Place {
  uint8_t* message = nullptr;
  uint8_t* message_end = nullptr;
  uint8_t* last_message_end = nullptr;  // of the last row
  bool is_sound;

  Place(const maskcore_rows& rows, int64_t row) noexcept {
    const int64_t before = rows.is_framed != 0 ? kBytesBefore : 0;
    const int64_t behind = rows.is_framed != 0 ? kBytesBehind : 0;
    const int64_t start = row == 0 ? 0 : rows.stops[row - 1];
    const int64_t stop = rows.stops[row], last_stop = rows.stops[rows.num_rows - 1];
    is_sound = rows.bytes != nullptr && start >= 0 && stop - start >= before + behind && stop <= last_stop;
    if (!is_sound) return;
    message = rows.bytes + start + before;
    message_end = rows.bytes + stop - behind;
    last_message_end = rows.bytes + last_stop - behind;
  }
};

template <class Item>
Item* row_of(const maskcore_feature& feature, int64_t row) noexcept {
  return static_cast<Item*>(feature.column) + row * feature.length;
}

}  // namespace maskcore

#endif  // MASKCORE_RECORDS_EXAMPLE_HPP_
