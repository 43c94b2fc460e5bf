// SPDX-License-Identifier: Apache-2.0
// Rows as tf.train.Example messages, bare or framed: first their sizes, then their bytes.
//
// Lengths stand before what they measure, so a row is measured from the inside out and written from the outside in.
#include <string.h>

#include "example.hpp"
#include "frame.hpp"
#include "varint.hpp"

namespace maskcore {
namespace {

int64_t with_tag_and_length(int64_t content_bytes) noexcept {
  return 1 + varint_bytes(static_cast<uint64_t>(content_bytes)) + content_bytes;
}

// The lengths of one feature's levels, from the inside out.
struct FeatureBytes {
  int64_t payload, list, value, entry, all;

  FeatureBytes(const maskcore_feature& feature, int64_t payload_bytes) noexcept
      : payload(payload_bytes),
        list(with_tag_and_length(payload)),
        value(with_tag_and_length(list)),
        entry(with_tag_and_length(feature.name_bytes) + with_tag_and_length(value)),
        all(with_tag_and_length(entry)) {}
};

// -1 where a value is negative.
int64_t payload_bytes_of(const maskcore_feature& feature, int64_t row) noexcept {
  if (feature.kind != MASKCORE_INT64_LIST) return feature.length * feature.item_bytes;
  switch (feature.item_bytes) {
    case 1:
      return list_bytes(row_of<const int8_t>(feature, row), feature.length);
    case 2:
      return list_bytes(row_of<const int16_t>(feature, row), feature.length);
    case 4:
      return list_bytes(row_of<const int32_t>(feature, row), feature.length);
    default:
      return list_bytes(row_of<const int64_t>(feature, row), feature.length);
  }
}

int64_t message_bytes(const maskcore_rows& rows, const int64_t* payload_bytes) noexcept {
  int64_t features = 0;
  for (int64_t i = 0; i < rows.num_features; ++i) features += FeatureBytes(rows.features[i], payload_bytes[i]).all;
  return with_tag_and_length(features);
}

// Writes within a buffer. Once something does not fit, nothing more is written.
class Writer {
 public:
  Writer(uint8_t* begin, uint8_t* end) noexcept : at_(begin), end_(end) {}

  // Whether everything fitted, and ends here.
  bool is_done_at(const uint8_t* place) const noexcept { return at_ == place; }

  void open(uint8_t tag, int64_t content_bytes) noexcept {
    if (!has_room(1 + kMaxWrittenBytes) && !has_room(1 + varint_bytes(static_cast<uint64_t>(content_bytes))))
      return fail();
    *at_++ = tag;
    at_ = write_varint(at_, static_cast<uint64_t>(content_bytes));
  }

  void copy(const void* bytes, int64_t num_bytes) noexcept {
    if (!has_room(num_bytes)) return fail();
    memcpy(at_, bytes, static_cast<size_t>(num_bytes));
    at_ += num_bytes;
  }

  template <class Int>
  void list(const Int* values, int64_t length, int64_t num_bytes) noexcept {
    if (num_bytes == length && has_room(length)) {  // every value takes one byte
      for (int64_t i = 0; i < length; ++i) at_[i] = static_cast<uint8_t>(values[i]);
      at_ += length;
    } else if (has_room(length * kMaxWrittenBytes)) {
      at_ = write_list_unchecked(at_, values, length);
    } else if (at_ != nullptr) {
      at_ = write_list(at_, end_, values, length);
    }
  }

 private:
  bool has_room(int64_t num_bytes) const noexcept { return at_ != nullptr && end_ - at_ >= num_bytes; }
  void fail() noexcept { at_ = nullptr; }

  uint8_t* at_;
  uint8_t* const end_;
};

void write_payload(Writer& writer, const maskcore_feature& feature, int64_t row, int64_t num_bytes) noexcept {
  const int64_t length = feature.length;
  if (feature.kind != MASKCORE_INT64_LIST)
    return writer.copy(row_of<const uint8_t>(feature, row * feature.item_bytes), num_bytes);
  switch (feature.item_bytes) {
    case 1:
      return writer.list(row_of<const int8_t>(feature, row), length, num_bytes);
    case 2:
      return writer.list(row_of<const int16_t>(feature, row), length, num_bytes);
    case 4:
      return writer.list(row_of<const int32_t>(feature, row), length, num_bytes);
    default:
      return writer.list(row_of<const int64_t>(feature, row), length, num_bytes);
  }
}

void write_message(Writer& writer, const maskcore_rows& rows, int64_t row, const int64_t* payload_bytes) noexcept {
  int64_t features = 0;
  for (int64_t i = 0; i < rows.num_features; ++i) features += FeatureBytes(rows.features[i], payload_bytes[i]).all;
  writer.open(kExampleFeatures, features);
  for (int64_t i = 0; i < rows.num_features; ++i) {
    const maskcore_feature& feature = rows.features[i];
    const FeatureBytes bytes(feature, payload_bytes[i]);
    writer.open(kFeaturesEntry, bytes.entry);
    writer.open(kEntryKey, feature.name_bytes);
    writer.copy(feature.name, feature.name_bytes);
    writer.open(kEntryValue, bytes.value);
    writer.open(length_delimited(feature.kind), bytes.list);
    writer.open(kListValue, bytes.payload);
    write_payload(writer, feature, row, bytes.payload);
  }
}

}  // namespace
}  // namespace maskcore

extern "C" {

int32_t maskcore_measure_rows(const maskcore_rows* rows, int64_t* bad_place) {
  if (!maskcore::is_sound(rows) || rows->payload_bytes == nullptr) return MASKCORE_RECORDS_BAD_CALL;
  int64_t stop = 0;
  for (int64_t row = 0; row < rows->num_rows; ++row) {
    int64_t* const payload_bytes = rows->payload_bytes + row * rows->num_features;
    for (int64_t i = 0; i < rows->num_features; ++i) {
      payload_bytes[i] = maskcore::payload_bytes_of(rows->features[i], row);
      if (payload_bytes[i] < 0) {
        *bad_place = row * rows->num_features + i;
        return MASKCORE_RECORDS_NEGATIVE;
      }
    }
    stop += maskcore::message_bytes(*rows, payload_bytes) + (rows->is_framed != 0 ? maskcore::kFrameBytes : 0);
    rows->stops[row] = stop;
  }
  return MASKCORE_RECORDS_OK;
}

int32_t maskcore_encode_rows(const maskcore_rows* rows, int64_t*) {
  if (!maskcore::is_sound(rows) || rows->payload_bytes == nullptr) return MASKCORE_RECORDS_BAD_CALL;
  const maskcore::UpdateCrc32c update = maskcore::best_crc32c();
  for (int64_t row = 0; row < rows->num_rows; ++row) {
    const maskcore::Place place(*rows, row);
    if (!place.is_sound) return MASKCORE_RECORDS_BAD_CALL;
    // The writer may spill over what comes behind: that is written later.
    maskcore::Writer writer(place.message, place.last_message_end);
    maskcore::write_message(writer, *rows, row, rows->payload_bytes + row * rows->num_features);
    if (!writer.is_done_at(place.message_end)) return MASKCORE_RECORDS_BAD_CALL;
    if (rows->is_framed != 0)
      maskcore::write_frame(update, place.message - maskcore::kBytesBefore, place.message_end - place.message);
  }
  return MASKCORE_RECORDS_OK;
}

}  // extern "C"
