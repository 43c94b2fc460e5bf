// SPDX-License-Identifier: Apache-2.0
// The test program of the record encoder's C ABI, for the sanitizers: batches of every shape against the plain encoder,
// in buffers of exactly their size, and readers given damaged bytes. Python's tests compare the same code with numpy.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "choices.hpp"
#include "maskcore_records.h"
#include "naive_records.hpp"

namespace maskcore_tests {
namespace {

int num_failed = 0;
int num_passed = 0;

void expect(bool is_right, const std::string& what) {
  if (is_right) {
    ++num_passed;
  } else {
    ++num_failed;
    std::printf("FAILED %s\n", what.c_str());
  }
}

// Bytes on the heap without room to spare, so that a touch outside is seen.
struct Exactly {
  explicit Exactly(const std::string& content) : size(static_cast<int64_t>(content.size())), bytes(make(content)) {}
  static std::unique_ptr<uint8_t[]> make(const std::string& content) {
    std::unique_ptr<uint8_t[]> made(new uint8_t[content.size()]);
    if (!content.empty()) std::memcpy(made.get(), content.data(), content.size());
    return made;
  }
  std::string text() const {
    return std::string(reinterpret_cast<const char*>(bytes.get()), static_cast<size_t>(size));
  }

  int64_t size;
  std::unique_ptr<uint8_t[]> bytes;
};

// A batch with columns, and the records that it must become.
struct Batch {
  explicit Batch(uint64_t seed) : choices(seed) {
    num_rows = choices.between(0, 5);
    const int64_t num_features = choices.between(1, 4);
    plain.resize(static_cast<size_t>(num_rows));
    for (int64_t i = 0; i < num_features; ++i) add_feature(static_cast<char>('a' + i));
    for (size_t i = 0; i < names.size(); ++i) {
      features[i].name = names[i].data();
      features[i].column = columns[i].bytes.get();
    }
    rows.features = features.data();
    rows.num_features = num_features;
    rows.num_rows = num_rows;
    rows.is_framed = choices.one_in(2) ? 1 : 0;
    payload_bytes.resize(static_cast<size_t>(num_rows * num_features));
    stops.resize(static_cast<size_t>(num_rows));
    payload_bytes.reserve(1);  // so that an empty one has an address
    stops.reserve(1);
    rows.payload_bytes = payload_bytes.data();
    rows.stops = stops.data();
    for (const std::vector<NaiveFeature>& row : plain) {
      const std::string message = naive_message(row);
      expected += rows.is_framed != 0 ? naive_record(message) : message;
      expected_stops.push_back(static_cast<int64_t>(expected.size()));
    }
  }

  void add_feature(char letter) {
    constexpr int32_t kSizes[] = {1, 2, 4, 8};
    maskcore_feature feature = {};
    feature.kind = static_cast<int32_t>(choices.between(1, 3));
    feature.length = choices.one_in(3) ? choices.between(1, 4) : choices.between(1, 150);
    feature.item_bytes = feature.kind == MASKCORE_BYTES_LIST   ? 1
                         : feature.kind == MASKCORE_FLOAT_LIST ? 4
                                                               : kSizes[choices.between(0, 3)];
    names.emplace_back(choices.one_in(4) ? 130 : 3, letter);
    feature.name_bytes = static_cast<int64_t>(names.back().size());
    const int64_t magnitude = choices.between(1, 63);  // so that some columns take one byte a value, and some many
    std::string column;
    for (std::vector<NaiveFeature>& row : plain) {
      NaiveFeature naive = {names.back(), feature.kind, {}, {}};
      for (int64_t i = 0; i < feature.length; ++i) add_item(feature, magnitude, column, naive);
      row.push_back(naive);
    }
    features.push_back(feature);
    columns.emplace_back(column);
  }

  void add_item(const maskcore_feature& feature, int64_t magnitude, std::string& column, NaiveFeature& naive) {
    int64_t value = choices.between(0, INT64_MAX) >> choices.between(63 - magnitude, 63);
    if (feature.kind == MASKCORE_INT64_LIST) {
      value &= static_cast<int64_t>(~uint64_t{0} >> (65 - 8 * feature.item_bytes));
      naive.numbers.push_back(value);
    }
    const std::string item(reinterpret_cast<const char*>(&value), static_cast<size_t>(feature.item_bytes));
    column += item;
    if (feature.kind != MASKCORE_INT64_LIST) naive.bytes += item;
  }

  Choices choices;
  int64_t num_rows;
  std::vector<std::vector<NaiveFeature>> plain;
  std::vector<std::string> names;
  std::vector<maskcore_feature> features;
  std::vector<Exactly> columns;
  std::vector<int64_t> payload_bytes, stops, expected_stops;
  maskcore_rows rows = {};
  std::string expected;
};

std::string encode(Batch& batch) {
  int64_t bad_place = -1;
  expect(maskcore_measure_rows(&batch.rows, &bad_place) == MASKCORE_RECORDS_OK, "measure_rows");
  Exactly content(std::string(batch.expected.size(), '?'));
  if (batch.stops != batch.expected_stops) return "other stops";
  batch.rows.bytes = content.bytes.get();
  expect(maskcore_encode_rows(&batch.rows, &bad_place) == MASKCORE_RECORDS_OK, "encode_rows");
  batch.rows.bytes = nullptr;
  return content.text();
}

// Decoded columns hold integers of eight bytes.
struct Decoded {
  Decoded(const Batch& batch, const std::string& bytes) : content(bytes), features(batch.features), rows(batch.rows) {
    for (maskcore_feature& feature : features) {
      if (feature.kind == MASKCORE_INT64_LIST) feature.item_bytes = 8;
      columns.emplace_back(std::string(static_cast<size_t>(rows.num_rows * feature.length * feature.item_bytes), '?'));
      feature.column = columns.back().bytes.get();
    }
    rows.features = features.data();
    rows.bytes = content.bytes.get();
    status = maskcore_decode_rows(&rows, &bad_row);
  }

  bool is_as_in(const Batch& batch) const {
    for (size_t i = 0; i < features.size(); ++i) {
      std::string wanted;
      for (const std::vector<NaiveFeature>& row : batch.plain) {
        wanted += row[i].bytes;
        if (!row[i].numbers.empty())
          wanted.append(reinterpret_cast<const char*>(row[i].numbers.data()), 8 * row[i].numbers.size());
      }
      if (columns[i].text() != wanted) return false;
    }
    return true;
  }

  Exactly content;
  std::vector<maskcore_feature> features;
  std::vector<Exactly> columns;
  maskcore_rows rows;
  int32_t status;
  int64_t bad_row = -1;
};

void test_batches() {
  for (uint64_t seed = 0; seed < 600; ++seed) {
    const std::string name = "batch " + std::to_string(seed);
    Batch batch(seed);
    const std::string content = encode(batch);
    expect(content == batch.expected, name + " encoded");
    const Decoded decoded(batch, content);
    expect(decoded.status == MASKCORE_RECORDS_OK && decoded.is_as_in(batch), name + " decoded");
  }
}

// Whatever some bytes become, readers stay in their buffers.
void test_damaged_messages() {
  for (uint64_t seed = 0; seed < 600; ++seed) {
    Batch batch(seed);
    if (batch.expected.empty()) continue;
    encode(batch);
    for (int variant = 0; variant < 60; ++variant) {
      std::string content = batch.expected;
      for (int64_t change = batch.choices.between(1, 3); change > 0; --change) {
        char& byte = content[static_cast<size_t>(batch.choices.between(0, static_cast<int64_t>(content.size()) - 1))];
        byte = static_cast<char>(batch.choices.one_in(2) ? byte ^ 0x80 : batch.choices.between(0, 255));
      }
      const Decoded decoded(batch, content);
      const bool is_known = decoded.status == MASKCORE_RECORDS_OK || decoded.status == MASKCORE_RECORDS_OTHER_LAYOUT;
      expect(is_known && decoded.bad_row < batch.num_rows, "damaged batch " + std::to_string(seed));
    }
  }
}

// Decodes bare messages that have the features "a" of `length` integers and, if wanted, "b" of five bytes.
int32_t decode_bare(const std::vector<std::string>& messages, int64_t length, bool has_bytes) {
  std::string all;
  std::vector<int64_t> stops;
  for (const std::string& message : messages) stops.push_back(static_cast<int64_t>((all += message).size()));
  const Exactly content(all);
  const Exactly integers(std::string(8 * messages.size() * static_cast<size_t>(length), '?'));
  const Exactly bytes(std::string(5 * messages.size(), '?'));
  const maskcore_feature features[] = {{"a", 1, integers.bytes.get(), length, MASKCORE_INT64_LIST, 8},
                                       {"b", 1, bytes.bytes.get(), 5, MASKCORE_BYTES_LIST, 1}};
  const int64_t num_rows = static_cast<int64_t>(messages.size());
  const maskcore_rows rows = {features, has_bytes ? 2 : 1, num_rows, nullptr, stops.data(), content.bytes.get(), 0};
  int64_t bad_row = -1;
  const int32_t status = maskcore_decode_rows(&rows, &bad_row);
  expect(bad_row == (status == MASKCORE_RECORDS_OTHER_LAYOUT ? 0 : -1), "the first row is wrong");
  return status;
}

void test_cut_messages() {
  const std::string whole =
      naive_message({{"a", MASKCORE_INT64_LIST, {1, 300, 70000}, {}}, {"b", MASKCORE_BYTES_LIST, {}, "bytes"}});
  expect(decode_bare({whole}, 3, true) == MASKCORE_RECORDS_OK, "a message");
  for (size_t size = 0; size < whole.size(); ++size)
    expect(decode_bare({whole.substr(0, size)}, 3, true) == MASKCORE_RECORDS_OTHER_LAYOUT, "a message cut");
  const std::string features = whole.substr(2);  // behind a tag and a length of one byte
  for (size_t size = 0; size < features.size(); ++size) {
    const std::string message = std::string("\x0a") + static_cast<char>(size) + features.substr(0, size);
    expect(decode_bare({message}, 3, true) == MASKCORE_RECORDS_OTHER_LAYOUT, "features cut");
  }
}

// A number that goes on in the next message, where too few follow.
void test_list_that_goes_on_behind_its_end() {
  std::string list;
  for (int i = 0; i < 12; ++i) list += std::string(7, '\x80') + '\x01';
  const std::string message = naive_message({{"a", MASKCORE_INT64_LIST, {}, list + std::string(5, '\x80')}});
  expect(decode_bare({message, "\x01\x01\x01"}, 100, false) == MASKCORE_RECORDS_OTHER_LAYOUT, "a list that goes on");
}

void test_checked_records() {
  const std::string messages[] = {"", "abc", std::string(1000, 'x'), "", std::string(3100, 'y')};
  std::string all, records;
  std::vector<int64_t> message_stops, expected_stops;
  for (const std::string& message : messages) {
    all += message;
    records += naive_record(message);
    message_stops.push_back(static_cast<int64_t>(all.size()));
    expected_stops.push_back(static_cast<int64_t>(records.size()));
  }
  const Exactly source(all), framed(std::string(records.size(), '?'));
  expect(
      maskcore_frame_messages(source.bytes.get(), message_stops.data(), 5, framed.bytes.get()) == MASKCORE_RECORDS_OK &&
          framed.text() == records,
      "frame_messages");
  for (size_t size = 0; size <= records.size(); ++size) {
    const Exactly part(records.substr(0, size));
    std::vector<int64_t> stops(5);
    int64_t num_records = -1;
    const int32_t status = maskcore_check_records(part.bytes.get(), part.size, 5, stops.data(), &num_records);
    int64_t num_whole = 0;
    while (num_whole < 5 && expected_stops[static_cast<size_t>(num_whole)] <= part.size) ++num_whole;
    expect(status == MASKCORE_RECORDS_OK && num_records == num_whole, "records cut at " + std::to_string(size));
    Exactly damaged(part.text());
    if (size == 0) continue;
    damaged.bytes[size - 1] ^= 0x40;
    const int32_t found = maskcore_check_records(damaged.bytes.get(), damaged.size, 5, stops.data(), &num_records);
    const int64_t start = num_records == 0 ? 0 : expected_stops[static_cast<size_t>(num_records) - 1];
    const int64_t in_record = damaged.size - start;
    // A record that has not ended is not looked at, but for its length.
    const bool is_whole = size == static_cast<size_t>(expected_stops[static_cast<size_t>(num_records)]);
    const int32_t expected = in_record == 12 ? MASKCORE_RECORDS_LENGTH_DAMAGED
                             : is_whole      ? MASKCORE_RECORDS_CONTENT_DAMAGED
                                             : MASKCORE_RECORDS_OK;
    expect(found == expected, "damaged record cut at " + std::to_string(size));
  }
}

void test_checksums() {
  Choices choices(7);
  std::string content;
  for (int i = 0; i < 70000; ++i) content += static_cast<char>(choices.between(0, 255));
  for (int32_t index = 0; maskcore_crc32c_level(index) != nullptr; ++index) {
    const char* const level = maskcore_crc32c_level(index);
    for (const size_t size :
         {0, 1, 7, 8, 9, 63, 64, 65, 191, 192, 193, 383, 384, 385, 3071, 3072, 3073, 65535, 65536, 65537}) {
      for (size_t start = 0; start < 9; ++start) {
        const Exactly part(content.substr(start, size));
        uint32_t crc = 0;
        const int32_t status = maskcore_crc32c(level, part.bytes.get(), part.size, &crc);
        expect(status == MASKCORE_RECORDS_OK && crc == naive_crc32c(part.text()),
               std::string(level) + ", " + std::to_string(size) + " bytes");
      }
    }
  }
}

template <class Spoil>
void expect_refused(const char* what, Spoil spoil) {
  Batch batch(3);
  encode(batch);
  const Exactly content(batch.expected);
  batch.rows.bytes = content.bytes.get();
  maskcore_feature feature = batch.features[0];
  spoil(batch.rows, feature);
  batch.features[0] = feature;
  int64_t bad_place = -1;
  expect(maskcore_encode_rows(&batch.rows, &bad_place) == MASKCORE_RECORDS_BAD_CALL, what);
  expect(maskcore_decode_rows(&batch.rows, &bad_place) == MASKCORE_RECORDS_BAD_CALL, what);
}

void test_refusals() {
  expect_refused("num_rows < 0", [](maskcore_rows& r, maskcore_feature&) { r.num_rows = -1; });
  expect_refused("no features", [](maskcore_rows& r, maskcore_feature&) { r.num_features = 0; });
  expect_refused("too many features", [](maskcore_rows& r, maskcore_feature&) { r.num_features = 65; });
  expect_refused("no list of features", [](maskcore_rows& r, maskcore_feature&) { r.features = nullptr; });
  expect_refused("no stops", [](maskcore_rows& r, maskcore_feature&) { r.stops = nullptr; });
  expect_refused("no bytes", [](maskcore_rows& r, maskcore_feature&) { r.bytes = nullptr; });
  expect_refused("a stop below 0", [](maskcore_rows& r, maskcore_feature&) { r.stops[0] = -1; });
  expect_refused("a stop behind the last", [](maskcore_rows& r, maskcore_feature&) { r.stops[0] = INT64_MAX; });
  expect_refused("a stop within a frame", [](maskcore_rows& r, maskcore_feature&) {
    r.is_framed = 1;
    r.stops[0] = 15;
  });
  expect_refused("no name", [](maskcore_rows&, maskcore_feature& f) { f.name = nullptr; });
  expect_refused("a name < 0", [](maskcore_rows&, maskcore_feature& f) { f.name_bytes = -1; });
  expect_refused("a long name", [](maskcore_rows&, maskcore_feature& f) { f.name_bytes = 1025; });
  expect_refused("no column", [](maskcore_rows&, maskcore_feature& f) { f.column = nullptr; });
  expect_refused("no length", [](maskcore_rows&, maskcore_feature& f) { f.length = 0; });
  expect_refused("a length > 2^26", [](maskcore_rows&, maskcore_feature& f) { f.length = (1 << 26) + 1; });
  expect_refused("an unknown kind", [](maskcore_rows&, maskcore_feature& f) { f.kind = 4; });
  expect_refused("items of 3 bytes", [](maskcore_rows&, maskcore_feature& f) { f.item_bytes = 3; });
  int64_t number = 0;
  uint32_t crc = 0;
  expect(maskcore_measure_rows(nullptr, &number) == MASKCORE_RECORDS_BAD_CALL, "no rows");
  expect(maskcore_frame_messages(nullptr, nullptr, 1, nullptr) == MASKCORE_RECORDS_BAD_CALL, "no messages");
  expect(maskcore_frame_messages(nullptr, nullptr, -1, nullptr) == MASKCORE_RECORDS_BAD_CALL, "messages < 0");
  expect(maskcore_check_records(nullptr, 1, 1, &number, &number) == MASKCORE_RECORDS_BAD_CALL, "no records");
  expect(maskcore_crc32c("sse9", nullptr, 0, &crc) == MASKCORE_RECORDS_BAD_CALL, "an unknown level");
  expect(maskcore_crc32c(nullptr, nullptr, 1, &crc) == MASKCORE_RECORDS_BAD_CALL, "no bytes to sum");
}

// Columns that another thread changes between the two calls must not make the writer leave its buffer.
void test_columns_that_change() {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Batch batch(seed);
    int64_t bad_place = -1;
    expect(maskcore_measure_rows(&batch.rows, &bad_place) == MASKCORE_RECORDS_OK, "measure_rows");
    bool is_longer = false;  // negative now, so of ten bytes, where not all were of one
    for (size_t i = 0; i < batch.columns.size(); ++i) {
      const Exactly& column = batch.columns[i];
      std::memset(column.bytes.get(), 0xFF, static_cast<size_t>(column.size));
      for (size_t row = 0; row < batch.stops.size(); ++row)
        is_longer |= batch.features[i].kind == MASKCORE_INT64_LIST &&
                     batch.payload_bytes[row * batch.columns.size() + i] != batch.features[i].length;
    }
    const Exactly content(std::string(batch.expected.size(), '?'));
    batch.rows.bytes = content.bytes.get();
    const int32_t status = maskcore_encode_rows(&batch.rows, &bad_place);
    expect(status == (is_longer ? MASKCORE_RECORDS_BAD_CALL : MASKCORE_RECORDS_OK), "changed " + std::to_string(seed));
  }
}

void test_negative_values() {
  const int16_t values[] = {1, 2, 3, -4};
  maskcore_feature feature = {"a", 1, const_cast<int16_t*>(values), 2, MASKCORE_INT64_LIST, 2};
  int64_t payload_bytes[2], stops[2], bad_place = -1;
  const maskcore_rows rows = {&feature, 1, 2, payload_bytes, stops, nullptr, 1};
  expect(maskcore_measure_rows(&rows, &bad_place) == MASKCORE_RECORDS_NEGATIVE && bad_place == 1, "a negative value");
}

}  // namespace
}  // namespace maskcore_tests

int main() {
  using namespace maskcore_tests;
  test_checksums();
  test_batches();
  test_damaged_messages();
  test_cut_messages();
  test_list_that_goes_on_behind_its_end();
  test_checked_records();
  test_refusals();
  test_columns_that_change();
  test_negative_values();
  std::printf("%d passed, %d failed\n", num_passed, num_failed);
  return num_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
