// SPDX-License-Identifier: Apache-2.0
// A call of the C ABI with its arrays: made from choices, run on fresh memory of exactly the right size, so that a
// sanitizer sees the first byte past an end. What the outputs should be is naive_kernel.hpp's business.
#ifndef MASKCORE_TESTS_NATIVE_SAMPLE_CALL_HPP_
#define MASKCORE_TESTS_NATIVE_SAMPLE_CALL_HPP_

#include <cstdint>
#include <cstring>
#include <vector>

#include "choices.hpp"
#include "maskcore.h"

namespace maskcore_tests {

constexpr int32_t kMaskableKinds[] = {MASKCORE_INT8,  MASKCORE_INT16,   MASKCORE_INT32,
                                      MASKCORE_INT64, MASKCORE_FLOAT32, MASKCORE_FLOAT64};
constexpr int32_t kIdKinds[] = {MASKCORE_INT16, MASKCORE_INT32, MASKCORE_INT64};

constexpr int64_t bytes_of(int32_t kind) {
  return kind == MASKCORE_FLOAT32 ? 4 : kind == MASKCORE_FLOAT64 ? 8 : kind;  // integer kinds are their size
}

// One element of an integer kind, or the bits of one of a float kind.
inline int64_t load(const std::vector<uint8_t>& elements, int32_t kind, int64_t index) {
  int64_t value = 0;
  std::memcpy(&value, elements.data() + index * bytes_of(kind), static_cast<size_t>(bytes_of(kind)));
  const int unused_bits = static_cast<int>(64 - 8 * bytes_of(kind));
  return static_cast<int64_t>(static_cast<uint64_t>(value) << unused_bits) >> unused_bits;
}

inline void store(std::vector<uint8_t>& elements, int32_t kind, int64_t index, int64_t value) {
  std::memcpy(elements.data() + index * bytes_of(kind), &value, static_cast<size_t>(bytes_of(kind)));
}

// The arrays that a call fills; those not wanted are empty.
struct Outputs {
  std::vector<uint8_t> mask, masked_ids, labels, prediction_ids;
  std::vector<int32_t> positions, span_numbers;
  std::vector<float> weights;

  bool operator==(const Outputs& other) const;
};

struct Wanted {
  bool mask, masked_ids, labels, prediction_ids, positions, weights, span_numbers;
  bool in_place;  // mask over maskable, masked_ids over input_ids
};

struct SampleShape {
  int32_t maskable_kind;   // 0: no maskable array
  int32_t input_ids_kind;  // 0: no tokens
  int64_t num_rows;
  int64_t row_length;
  bool has_words;
  bool has_segments;
};

struct SampleCall {
  SampleShape shape = {};
  Wanted wanted = {};
  maskcore_call call = {};  // numbers only: run_on sets the pointers
  std::vector<uint32_t> length_thresholds;
  std::vector<uint8_t> maskable, input_ids;
  std::vector<int32_t> word_ids, segment_ids, random_ids;
  std::vector<int64_t> budgets, row_ids, epochs, special_ranges;  // the first three may be empty: not given

  // Outputs of the right sizes, every byte of them `fill`.
  Outputs blank_outputs(uint8_t fill) const;

  // Hands the call with its arrays and `outputs` to `run` and returns what that returns. Inputs are copied first, since
  // a call may work in place.
  template <class Run>
  int32_t run_on(Outputs& outputs, Run run) const {
    SampleCall copy = *this;
    copy.set_pointers(outputs);
    const int32_t status = run(copy.call);
    if (wanted.in_place && wanted.mask) outputs.mask = copy.maskable;
    if (wanted.in_place && wanted.masked_ids) outputs.masked_ids = copy.input_ids;
    return status;
  }

 private:
  void set_pointers(Outputs& outputs);
};

SampleShape choose_shape(Choices& choices, int64_t longest_row);
SampleCall make_sample_call(const SampleShape& shape, Choices& choices);

}  // namespace maskcore_tests

#endif  // MASKCORE_TESTS_NATIVE_SAMPLE_CALL_HPP_
