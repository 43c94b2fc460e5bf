// SPDX-License-Identifier: Apache-2.0
// Every way of running a sample has one right answer; what differs is named with the level and the split that gave it.
#include "check_sample.hpp"

#include "naive_kernel.hpp"

namespace maskcore_tests {
namespace {

constexpr uint8_t kUntouched = 0xA5;

std::string describe(const SampleCall& sample) {
  const SampleShape& shape = sample.shape;
  return "maskable kind " + std::to_string(shape.maskable_kind) + ", ids kind " + std::to_string(shape.input_ids_kind) +
         ", " + std::to_string(shape.num_rows) + " rows of " + std::to_string(shape.row_length) +
         (shape.has_words ? ", words" : "") + (shape.has_segments ? ", segments" : "") + ", " +
         std::to_string(sample.length_thresholds.size() + 1) + " piece lengths";
}

std::string first_difference(const Outputs& got, const Outputs& expected) {
  if (got.mask != expected.mask) return "mask";
  if (got.span_numbers != expected.span_numbers) return "span_numbers";
  if (got.positions != expected.positions) return "positions";
  if (got.weights != expected.weights) return "weights";
  if (got.masked_ids != expected.masked_ids) return "masked_ids";
  if (got.labels != expected.labels) return "labels";
  if (got.prediction_ids != expected.prediction_ids) return "prediction_ids";
  return "";
}

template <class Run>
std::string compare(const SampleCall& sample, const Outputs& expected, const std::string& way, Run run) {
  Outputs outputs = sample.blank_outputs(kUntouched);
  const int32_t status = sample.run_on(outputs, run);
  if (status != MASKCORE_OK) return way + ": status " + std::to_string(status) + " for " + describe(sample);
  const std::string difference = first_difference(outputs, expected);
  return difference.empty() ? "" : way + ": " + difference + " differs for " + describe(sample);
}

}  // namespace

std::string check_sample(const SampleCall& sample, int32_t num_threads) {
  const Outputs expected = expected_outputs(sample);
  for (int32_t index = 0; maskcore_simd_level(index) != nullptr; ++index) {
    const std::string level = maskcore_simd_level(index);
    if (maskcore_use_simd_level(level.c_str()) != MASKCORE_OK) return level + " cannot be used";
    std::string wrong = compare(sample, expected, level, [](const maskcore_call& call) {
      return maskcore_mask_row_range(&call, 0, call.num_rows);
    });
    if (wrong.empty()) {
      wrong = compare(sample, expected, level + " row by row", [](const maskcore_call& call) {
        int32_t status = MASKCORE_OK;
        for (int64_t row = call.num_rows; row-- > 0 && status == MASKCORE_OK;)
          status = maskcore_mask_row_range(&call, row, row + 1);
        return status;
      });
    }
    if (wrong.empty() && num_threads > 1) {
      wrong = compare(sample, expected, level + " on " + std::to_string(num_threads) + " threads",
                      [num_threads](const maskcore_call& call) { return maskcore_mask_rows(&call, num_threads); });
    }
    if (!wrong.empty()) return wrong;
  }
  return "";
}

std::string check_refused(const SampleCall& sample) {
  for (const int32_t num_threads : {1, 3}) {
    SampleCall apart = sample;
    apart.wanted.in_place = false;
    const Outputs untouched = apart.blank_outputs(kUntouched);
    Outputs outputs = untouched;
    const int32_t status = apart.run_on(
        outputs, [num_threads](const maskcore_call& call) { return maskcore_mask_rows(&call, num_threads); });
    if (status != MASKCORE_BAD_CALL)
      return "not refused: status " + std::to_string(status) + " for " + describe(sample);
    if (!first_difference(outputs, untouched).empty())
      return "refused, but wrote to " + first_difference(outputs, untouched);
  }
  return "";
}

}  // namespace maskcore_tests
