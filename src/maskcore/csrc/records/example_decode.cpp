// SPDX-License-Identifier: Apache-2.0
// tf.train.Example messages of fixed layout back to columns, whatever the bytes are.
#include <string.h>

#include "example.hpp"
#include "varint.hpp"

namespace maskcore {
namespace {

// Bytes that are still to be read. Once something is not as expected, all that follows is neither.
class Reader {
 public:
  Reader(const uint8_t* begin, const uint8_t* end) noexcept : at_(begin), end_(end) {}

  bool is_done() const noexcept { return at_ == end_; }
  int64_t num_bytes() const noexcept { return end_ - at_; }
  const uint8_t* begin() const noexcept { return at_; }
  const uint8_t* end() const noexcept { return end_; }

  // Goes past a field, and returns what it holds; a failed reader for a field of another tag.
  Reader open(uint8_t tag) noexcept {
    uint64_t length = 0;
    if (at_ == nullptr || at_ == end_ || *at_ != tag) return fail();
    at_ = read_varint(at_ + 1, end_, &length);
    if (at_ == nullptr || length > static_cast<uint64_t>(num_bytes())) return fail();
    const uint8_t* const begin = at_;
    at_ += length;
    return Reader(begin, at_);
  }

 private:
  Reader fail() noexcept {
    at_ = nullptr;
    return Reader(nullptr, end_);
  }

  const uint8_t* at_;
  const uint8_t* end_;
};

bool read_int64_list(Reader payload, const uint8_t* readable_end, int64_t* values, int64_t length) noexcept {
  if (payload.num_bytes() != length) return read_list(payload.begin(), payload.end(), readable_end, values, length);
  uint8_t all_bits = 0;
  for (int64_t i = 0; i < length; ++i) {
    const uint8_t byte = payload.begin()[i];
    all_bits = static_cast<uint8_t>(all_bits | byte);
    values[i] = byte;
  }
  return all_bits < 0x80;  // else one is longer than a byte, and the bytes are too few
}

bool read_feature(Reader entry, const maskcore_feature& feature, int64_t row, const uint8_t* readable_end) noexcept {
  const Reader key = entry.open(kEntryKey);
  if (key.begin() == nullptr || key.num_bytes() != feature.name_bytes) return false;
  if (memcmp(key.begin(), feature.name, static_cast<size_t>(feature.name_bytes)) != 0) return false;
  Reader value = entry.open(kEntryValue);
  Reader list = value.open(length_delimited(feature.kind));
  const Reader payload = list.open(kListValue);
  if (payload.begin() == nullptr || !entry.is_done() || !value.is_done() || !list.is_done()) return false;
  if (feature.kind == MASKCORE_INT64_LIST)
    return read_int64_list(payload, readable_end, row_of<int64_t>(feature, row), feature.length);
  const int64_t num_bytes = feature.length * feature.item_bytes;
  if (payload.num_bytes() != num_bytes) return false;
  memcpy(row_of<uint8_t>(feature, row * feature.item_bytes), payload.begin(), static_cast<size_t>(num_bytes));
  return true;
}

bool read_message(Reader message, const maskcore_rows& rows, int64_t row, const uint8_t* readable_end) noexcept {
  Reader features = message.open(kExampleFeatures);
  if (features.begin() == nullptr || !message.is_done()) return false;
  for (int64_t i = 0; i < rows.num_features; ++i) {
    const Reader entry = features.open(kFeaturesEntry);
    if (entry.begin() == nullptr || !read_feature(entry, rows.features[i], row, readable_end)) return false;
  }
  return features.is_done();
}

bool can_be_filled(const maskcore_rows& rows) noexcept {
  for (int64_t i = 0; i < rows.num_features; ++i) {
    if (rows.features[i].kind == MASKCORE_INT64_LIST && rows.features[i].item_bytes != sizeof(int64_t)) return false;
  }
  return true;
}

}  // namespace
}  // namespace maskcore

extern "C" int32_t maskcore_decode_rows(const maskcore_rows* rows, int64_t* bad_place) {
  if (!maskcore::is_sound(rows) || !maskcore::can_be_filled(*rows)) return MASKCORE_RECORDS_BAD_CALL;
  for (int64_t row = 0; row < rows->num_rows; ++row) {
    const maskcore::Place place(*rows, row);
    if (!place.is_sound) return MASKCORE_RECORDS_BAD_CALL;
    const maskcore::Reader message(place.message, place.message_end);
    if (!maskcore::read_message(message, *rows, row, place.last_message_end)) {
      *bad_place = row;
      return MASKCORE_RECORDS_OTHER_LAYOUT;
    }
  }
  return MASKCORE_RECORDS_OK;
}
