// SPDX-License-Identifier: Apache-2.0
// The fuzz target of the C ABI. From any bytes it makes a call, sound or spoilt in one number: a sound one must give
// what docs/algorithm.md says on every level, a spoilt one must be refused or do no harm.
#include <cstdio>
#include <cstdlib>

#include "check_sample.hpp"

namespace {

using maskcore_tests::Choices;
using maskcore_tests::SampleCall;

constexpr int64_t kLongestRow = 300;

// Numbers that no caller should pass, in a place that decides what is read and written. Sizes only grow where the
// kernel must refuse them: what else is true of an array's size it cannot know.
void spoil(SampleCall& sample, Choices& choices) {
  maskcore_call& call = sample.call;
  const int64_t any = choices.between(INT64_MIN, INT64_MAX);
  const int64_t negative = choices.between(INT64_MIN, -1);
  const int64_t above_2_32 = choices.between(INT64_C(1) << 32, INT64_MAX);
  switch (choices.between(0, 14)) {
    case 0:
      call.num_rows = negative;
      break;
    case 1:
      call.row_length = choices.one_in(2) ? negative : choices.between(MASKCORE_MAX_ROW_LENGTH + 1, INT64_MAX);
      break;
    case 2:
      call.num_length_thresholds = choices.one_in(2) ? negative : choices.between(MASKCORE_MAX_NGRAM, INT64_MAX);
      break;
    case 3:
      call.num_predictions = negative;
      break;
    case 4:
      call.num_special_ranges = negative;
      break;
    case 5:
      call.num_random_ids = choices.one_in(2) ? negative : above_2_32;
      break;
    case 6:
      call.ratio_e9 = any;
      break;
    case 7:
      call.budget_cap = any;
      break;
    case 8:
      call.budget = any;
      break;
    case 9:
      call.replacement_thresholds[choices.between(0, 1)] = static_cast<uint64_t>(any);
      break;
    case 10:
      for (uint32_t& threshold : sample.length_thresholds)
        threshold = static_cast<uint32_t>(choices.between(0, choices.one_in(2) ? 1 << 17 : 1 << 16));
      break;
    case 11:
      call.mask_id = call.ignore_index = any;
      break;
    case 12:
      call.maskable_kind = 3 + 8 * static_cast<int32_t>(choices.between(-100, 100));
      break;
    case 13:
      call.input_ids_kind = 3 + 8 * static_cast<int32_t>(choices.between(-100, 100));
      break;
    default:
      call.seed = static_cast<uint64_t>(any);
      break;
  }
}

void run_on_all_levels(const SampleCall& spoilt, const SampleCall& sound) {
  for (int32_t index = 0; maskcore_simd_level(index) != nullptr; ++index) {
    maskcore_use_simd_level(maskcore_simd_level(index));
    maskcore_tests::Outputs outputs = sound.blank_outputs(0);
    spoilt.run_on(outputs, [](const maskcore_call& call) { return maskcore_mask_rows(&call, 2); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t num_bytes) {
  Choices choices(bytes, num_bytes);
  const bool is_sound = !choices.one_in(4);
  const int32_t num_threads = choices.one_in(16) ? 3 : 1;
  const SampleCall sample = make_sample_call(choose_shape(choices, kLongestRow), choices);
  if (is_sound) {
    const std::string wrong = check_sample(sample, num_threads);
    if (!wrong.empty()) {
      std::fprintf(stderr, "%s\n", wrong.c_str());
      std::abort();
    }
  } else {
    SampleCall spoilt = sample;
    spoil(spoilt, choices);
    run_on_all_levels(spoilt, sample);
  }
  return 0;
}
