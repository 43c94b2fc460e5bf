// SPDX-License-Identifier: Apache-2.0
// The test program of the C ABI, for the sanitizers: every element kind, every short length, words, segments, tokens,
// threads, known answers, and calls that must be refused. Python's tests compare the same kernel with the reference
// backend.
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "check_sample.hpp"

namespace maskcore_tests {
namespace {

int num_failed = 0;
int num_passed = 0;

void expect(const std::string& wrong, const std::string& what) {
  if (wrong.empty()) {
    ++num_passed;
  } else {
    ++num_failed;
    std::printf("FAILED %s: %s\n", what.c_str(), wrong.c_str());
  }
}

// A sample of the given shape, the same in every run of this program.
SampleCall sample_of(const SampleShape& shape, uint64_t seed) {
  Choices choices(seed);
  return make_sample_call(shape, choices);
}

void check_shape(const SampleShape& shape, uint64_t seed, int32_t num_threads) {
  expect(check_sample(sample_of(shape, seed), num_threads), "sample " + std::to_string(seed));
}

// Every length up to 300 (several words of 64 bits, and the vector widths around them), then 1000.
void test_lengths() {
  for (int64_t length = 0; length <= 301; ++length) {
    for (int variant = 0; variant < 4; ++variant) {
      const int64_t row_length = length == 301 ? 1000 : length;
      const int32_t kind = kMaskableKinds[(length + variant) % 6];
      const int32_t ids_kind = variant < 2 ? 0 : kIdKinds[length % 3];
      check_shape({kind, ids_kind, 3, row_length, variant % 2 == 1, variant == 3 || length % 2 == 1},
                  static_cast<uint64_t>(4 * length + variant), 1);
    }
  }
}

// Every pairing of element kinds, with and without words and segments.
void test_kinds() {
  uint64_t seed = 10000;
  for (const int32_t kind : {0, 1, 2, 4, 8, 36, 40}) {
    for (const int32_t ids_kind : {0, 2, 4, 8}) {
      for (int variant = 0; variant < 12 && (kind != 0 || ids_kind != 0); ++variant)
        check_shape({kind, ids_kind, 4, 128, variant % 2 == 1, variant % 4 >= 2}, seed++, 2);
    }
  }
}

// Rows of at most 128 tokens may be masked in groups, planned for by the budgets of the first ones.
void test_groups_of_short_rows() {
  uint64_t seed = 15000;
  for (const int64_t length : {1, 63, 64, 65, 127, 128}) {
    for (const int64_t num_rows : {4, 8, 13, 80}) {
      for (int variant = 0; variant < 8; ++variant) {
        const int32_t kind = kMaskableKinds[variant % 4 == 0 ? 0 : (length + num_rows) % 6];
        check_shape({kind, variant == 7 ? MASKCORE_INT32 : 0, num_rows, length, false, variant % 2 == 1}, seed++, 1);
      }
    }
  }
}

// Positions need more than 16 bits from 65,537 tokens on.
void test_long_rows() {
  uint64_t seed = 20000;
  for (const int64_t length : {4096, 65535, 65536, 65537, 70001}) {
    for (int variant = 0; variant < 2; ++variant)
      check_shape({MASKCORE_INT8, variant == 0 ? 0 : MASKCORE_INT32, 2, length, variant == 1, variant == 1}, seed++, 2);
  }
}

void test_threads() {
  for (const int64_t num_rows : {1, 2, 3, 7, 64}) {
    const SampleShape shape = {MASKCORE_FLOAT32, MASKCORE_INT64, num_rows, 97, num_rows % 2 == 0, true};
    for (const int32_t num_threads : {2, 3, 8})
      check_shape(shape, 30000 + static_cast<uint64_t>(num_rows * 10 + num_threads), num_threads);
  }
  // Callers on threads of their own, each with its own call.
  std::vector<std::string> wrong(4);
  std::vector<std::thread> callers;
  for (size_t caller = 0; caller < wrong.size(); ++caller) {
    callers.emplace_back([&wrong, caller] {
      for (uint64_t seed = 0; seed < 20 && wrong[caller].empty(); ++seed)
        wrong[caller] = check_sample(sample_of({MASKCORE_INT8, 0, 8, 130, true, false}, 31000 + seed), 2);
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const std::string& message : wrong) expect(message, "caller on a thread");
}

// Random123's kat_vectors, philox4x32 10 rounds.
void test_generator() {
  struct Known {
    uint32_t counter[4], key[2], words[4];
  };
  const Known all[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}},
      {{0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344},
       {0xA4093822, 0x299F31D0},
       {0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}},
  };
  for (const Known& known : all) {
    uint32_t words[4];
    maskcore_philox4x32_10(known.counter, known.key, words);
    expect(std::memcmp(words, known.words, sizeof words) == 0 ? "" : "other words than the published ones",
           "philox4x32_10");
  }
}

template <class Spoil>
void expect_refused(const char* what, Spoil spoil) {
  SampleCall sample = sample_of({MASKCORE_INT32, MASKCORE_INT32, 3, 70, true, true}, 40000);
  sample.wanted = {true, true, true, true, true, true, true, false};
  sample.call.num_predictions = 5;
  sample.length_thresholds = {35747, 53620};
  sample.call.num_length_thresholds = 2;
  sample.call.replacement_thresholds[0] = 100;
  sample.call.replacement_thresholds[1] = 200;
  spoil(sample);
  expect(check_refused(sample), what);
}

void test_refusals() {
  expect_refused("num_rows < 0", [](SampleCall& s) { s.call.num_rows = -1; });
  expect_refused("row_length < 0", [](SampleCall& s) { s.call.row_length = -1; });
  expect_refused("row_length > 2^26", [](SampleCall& s) { s.call.row_length = MASKCORE_MAX_ROW_LENGTH + 1; });
  expect_refused("an unknown kind of maskable", [](SampleCall& s) { s.call.maskable_kind = 3; });
  expect_refused("float ids", [](SampleCall& s) { s.call.input_ids_kind = MASKCORE_FLOAT32; });
  expect_refused("labels of another kind", [](SampleCall& s) { s.call.labels_kind = MASKCORE_INT16; });
  expect_refused("a mask and no maskable", [](SampleCall& s) { s.shape.maskable_kind = 0; });
  expect_refused("token outputs and no ids", [](SampleCall& s) { s.shape.input_ids_kind = 0; });
  expect_refused("neither maskable nor ids", [](SampleCall& s) {
    s.wanted = {false, false, false, false, true, true, true, false};
    s.shape.maskable_kind = s.shape.input_ids_kind = 0;
  });
  expect_refused("ratio < 0", [](SampleCall& s) { s.call.ratio_e9 = -1; });
  expect_refused("ratio > 1", [](SampleCall& s) { s.call.ratio_e9 = 1000000001; });
  expect_refused("num_predictions < 0", [](SampleCall& s) {
    s.wanted.positions = s.wanted.weights = s.wanted.prediction_ids = false;
    s.call.num_predictions = -1;
  });
  expect_refused("a negative number of thresholds", [](SampleCall& s) { s.call.num_length_thresholds = -1; });
  expect_refused("too many thresholds", [](SampleCall& s) {
    s.length_thresholds.assign(MASKCORE_MAX_NGRAM, 5);
    s.call.num_length_thresholds = MASKCORE_MAX_NGRAM;
  });
  expect_refused("no thresholds", [](SampleCall& s) { s.length_thresholds.clear(); });
  expect_refused("decreasing thresholds", [](SampleCall& s) { s.length_thresholds = {9, 8}; });
  expect_refused("a threshold > 2^16", [](SampleCall& s) { s.length_thresholds = {9, (1u << 16) + 1}; });
  expect_refused("decreasing replacement thresholds", [](SampleCall& s) { s.call.replacement_thresholds[0] = 201; });
  expect_refused("a replacement threshold > 2^32",
                 [](SampleCall& s) { s.call.replacement_thresholds[1] = (uint64_t{1} << 32) + 1; });
  expect_refused("no table of random ids", [](SampleCall& s) { s.random_ids.clear(); });
  expect_refused("an empty table of random ids", [](SampleCall& s) { s.call.num_random_ids = 0; });
  expect_refused("a table of 2^32 random ids", [](SampleCall& s) { s.call.num_random_ids = INT64_C(1) << 32; });
  expect_refused("a negative number of special ranges", [](SampleCall& s) { s.call.num_special_ranges = -1; });
  expect_refused("no special ranges", [](SampleCall& s) {
    s.special_ranges.clear();
    s.call.num_special_ranges = 2;
  });
  expect(maskcore_mask_rows(nullptr, 1) == MASKCORE_BAD_CALL ? "" : "not refused", "no call");
  expect(maskcore_use_simd_level("sse9") == MASKCORE_BAD_CALL ? "" : "not refused", "an unknown level");
  expect(maskcore_use_simd_level(nullptr) == MASKCORE_BAD_CALL ? "" : "not refused", "no level");
}

void test_row_range_refusals() {
  const SampleCall sample = sample_of({MASKCORE_INT8, 0, 3, 10, false, false}, 41000);
  for (const auto& [first, stop] : {std::pair<int64_t, int64_t>{-1, 2}, {0, 4}, {INT64_MIN, 1}, {1, INT64_MAX}}) {
    Outputs outputs = sample.blank_outputs(0);
    const int32_t status = sample.run_on(outputs, [first = first, stop = stop](const maskcore_call& call) {
      return maskcore_mask_row_range(&call, first, stop);
    });
    expect(status == MASKCORE_BAD_CALL ? "" : "not refused",
           "rows " + std::to_string(first) + " to " + std::to_string(stop));
  }
}

}  // namespace
}  // namespace maskcore_tests

int main() {
  using namespace maskcore_tests;
  const char* const chosen = maskcore_active_simd_level();
  std::printf("level chosen: %s; checked:", chosen == nullptr ? "none" : chosen);
  for (int32_t index = 0; maskcore_simd_level(index) != nullptr; ++index)
    std::printf(" %s", maskcore_simd_level(index));
  std::printf("\n");
  test_generator();
  test_lengths();
  test_kinds();
  test_long_rows();
  test_groups_of_short_rows();
  test_threads();
  test_refusals();
  test_row_range_refusals();
  std::printf("%d passed, %d failed\n", num_passed, num_failed);
  return num_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
