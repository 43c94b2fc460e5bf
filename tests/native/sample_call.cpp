// SPDX-License-Identifier: Apache-2.0
// Samples of every kind of call: which arrays there are, what is in them, and what is wanted of the kernel.
#include "sample_call.hpp"

#include <algorithm>

namespace maskcore_tests {
namespace {

constexpr int64_t kLargest63 = INT64_MAX;
constexpr int64_t kLargestId = 30000;  // fits the smallest kind of id

// A pointer that is never null, even where there is nothing to point at: null means "not given".
template <class Element>
Element* non_null(std::vector<Element>& elements) {
  static Element nothing;
  return elements.empty() ? &nothing : elements.data();
}

size_t size_of(int64_t count) { return static_cast<size_t>(count); }

std::vector<uint32_t> choose_thresholds(Choices& choices) {
  switch (choices.between(0, 5)) {
    case 0:
      return {};
    case 1:  // nothing but pieces of five units; pieces of one unit, though five are allowed
      return std::vector<uint32_t>(4, choices.one_in(2) ? 0 : 1u << 16);
    case 2: {
      std::vector<uint32_t> thresholds(size_of(choices.between(1, MASKCORE_MAX_NGRAM - 1)));
      for (uint32_t& threshold : thresholds) threshold = static_cast<uint32_t>(choices.between(0, 1 << 16));
      std::sort(thresholds.begin(), thresholds.end());
      return thresholds;
    }
    case 3:  // max_n = 9: one more than fits a byte of unary lengths
      return {23165, 34748, 42470, 48261, 52894, 56755, 60065, 62960};
    default:  // max_n = 3 with the weights 1, 1/2, 1/3: floor(2^16 * 6 / 11 + 1/2), floor(2^16 * 9 / 11 + 1/2)
      return {35747, 53620};
  }
}

std::vector<uint8_t> choose_maskable(const SampleShape& shape, Choices& choices) {
  const int64_t count = shape.num_rows * shape.row_length;
  const int32_t kind = shape.maskable_kind;
  std::vector<uint8_t> maskable(size_of(count * bytes_of(kind)));
  const int64_t sixteenths = choices.one_in(3) ? choices.between(0, 16) : 13;
  const int64_t sign = kind == MASKCORE_FLOAT32 ? INT64_C(1) << 31 : INT64_MIN;
  const bool is_float = kind == MASKCORE_FLOAT32 || kind == MASKCORE_FLOAT64;
  for (int64_t t = 0; t < count; ++t) {
    int64_t value = choices.between(1, 16) <= sixteenths ? 1 : 0;
    if (value != 0 && choices.one_in(4))
      value = INT64_C(1) << choices.between(0, 8 * bytes_of(kind) - (is_float ? 2 : 1));
    if (is_float && choices.one_in(4)) value |= sign;  // -0.0 is zero all the same
    store(maskable, kind, t, value);
  }
  return maskable;
}

// Ids in runs, as words and segments have; an id may come again, and a negative one means "no word".
std::vector<int32_t> choose_runs(const SampleShape& shape, int64_t longest_run, Choices& choices) {
  std::vector<int32_t> ids(size_of(shape.num_rows * shape.row_length));
  for (size_t t = 0; t < ids.size();) {
    const int32_t id = static_cast<int32_t>(choices.between(-1, 20));
    for (int64_t left = choices.between(1, longest_run); left > 0 && t < ids.size(); --left) ids[t++] = id;
  }
  return ids;
}

std::vector<int64_t> choose_per_row(const SampleShape& shape, int64_t low, int64_t high, Choices& choices) {
  std::vector<int64_t> values(size_of(choices.one_in(2) ? shape.num_rows : 0));
  for (int64_t& value : values) value = choices.between(low, high);
  return values;
}

void choose_budget(SampleCall& sample, Choices& choices) {
  const int64_t row_length = sample.shape.row_length;
  sample.call.budget_cap = choices.one_in(2) ? -1 : choices.between(0, row_length + 1);
  if (choices.one_in(3)) {
    sample.call.ratio_e9 = choices.between(1, 1000000000);
  } else {
    const int64_t high = choices.one_in(2) ? row_length / 4 : row_length + 2;
    sample.call.budget = choices.one_in(8) ? INT64_MAX : choices.between(-1, high);
    sample.budgets = choose_per_row(sample.shape, -1, high, choices);
  }
}

void choose_tokens(SampleCall& sample, Choices& choices) {
  maskcore_call& call = sample.call;
  const int32_t kind = sample.shape.input_ids_kind;
  const int64_t count = sample.shape.num_rows * sample.shape.row_length;
  sample.input_ids.resize(size_of(count * bytes_of(kind)));
  for (int64_t t = 0; t < count; ++t) store(sample.input_ids, kind, t, choices.between(0, kLargestId));
  for (int64_t range = choices.between(0, 3); range > 0; --range) {
    const int64_t low = choices.between(0, kLargestId);
    sample.special_ranges.insert(sample.special_ranges.end(), {low, low + choices.between(0, 3000)});
  }
  const int64_t most = INT64_C(1) << 32;
  const int64_t mask_below = choices.one_in(2) ? 3435973837 : choices.between(0, most);  // 0.8
  call.replacement_thresholds[0] = static_cast<uint64_t>(mask_below);
  call.replacement_thresholds[1] = static_cast<uint64_t>(choices.between(mask_below, most));
  const bool needs_table = call.replacement_thresholds[0] < call.replacement_thresholds[1];
  sample.random_ids.resize(size_of(choices.between(needs_table ? 1 : 0, 50)));
  for (int32_t& id : sample.random_ids) id = static_cast<int32_t>(choices.between(0, kLargestId));
  call.mask_id = choices.between(0, kLargestId);
  call.ignore_index = -100;
  call.labels_kind = choices.one_in(2) ? kind : static_cast<int32_t>(MASKCORE_INT32);
  call.num_random_ids = static_cast<int64_t>(sample.random_ids.size());
  call.num_special_ranges = static_cast<int64_t>(sample.special_ranges.size()) / 2;
}

void choose_wanted(SampleCall& sample, Choices& choices) {
  Wanted& wanted = sample.wanted;
  const bool has_tokens = sample.shape.input_ids_kind != 0;
  wanted.mask = sample.shape.maskable_kind != 0 && !choices.one_in(4);
  wanted.span_numbers = choices.one_in(2);
  wanted.positions = choices.one_in(2);
  wanted.weights = wanted.positions && choices.one_in(2);
  wanted.masked_ids = has_tokens && !choices.one_in(4);
  wanted.labels = has_tokens && choices.one_in(2);
  wanted.prediction_ids = has_tokens && choices.one_in(2);
  wanted.in_place = choices.one_in(3);
  sample.call.num_predictions = choices.between(0, sample.shape.row_length + 2);
}

}  // namespace

bool Outputs::operator==(const Outputs& other) const {
  return mask == other.mask && masked_ids == other.masked_ids && labels == other.labels &&
         prediction_ids == other.prediction_ids && positions == other.positions && span_numbers == other.span_numbers &&
         weights == other.weights;
}

Outputs SampleCall::blank_outputs(uint8_t fill) const {
  const int64_t tokens = shape.num_rows * shape.row_length;
  const int64_t predictions = shape.num_rows * call.num_predictions;
  const auto bytes = [fill](bool is_wanted, int64_t count, int32_t kind) {
    return std::vector<uint8_t>(is_wanted ? size_of(count * bytes_of(kind)) : 0, fill);
  };
  const auto filled = [fill](auto element) {
    std::memset(&element, fill, sizeof element);
    return element;
  };
  Outputs outputs;
  outputs.mask = bytes(wanted.mask, tokens, shape.maskable_kind);
  outputs.masked_ids = bytes(wanted.masked_ids, tokens, shape.input_ids_kind);
  outputs.labels = bytes(wanted.labels, tokens, call.labels_kind);
  outputs.prediction_ids = bytes(wanted.prediction_ids, predictions, shape.input_ids_kind);
  outputs.positions.assign(wanted.positions ? size_of(predictions) : 0, filled(int32_t{0}));
  outputs.span_numbers.assign(wanted.span_numbers ? size_of(tokens) : 0, filled(int32_t{0}));
  outputs.weights.assign(wanted.weights ? size_of(predictions) : 0, filled(0.0f));
  return outputs;
}

void SampleCall::set_pointers(Outputs& outputs) {
  call.length_thresholds = length_thresholds.empty() ? nullptr : length_thresholds.data();
  if (shape.maskable_kind != 0) call.maskable = non_null(maskable);
  if (shape.has_words) call.word_ids = non_null(word_ids);
  if (shape.has_segments) call.segment_ids = non_null(segment_ids);
  if (!budgets.empty()) call.budgets = budgets.data();
  if (!row_ids.empty()) call.row_ids = row_ids.data();
  if (!epochs.empty()) call.epochs = epochs.data();
  if (shape.input_ids_kind != 0) {
    call.input_ids = non_null(input_ids);
    call.random_ids = random_ids.empty() ? nullptr : random_ids.data();
    call.special_ranges = special_ranges.empty() ? nullptr : special_ranges.data();
  }
  if (wanted.mask) call.mask = non_null(wanted.in_place ? maskable : outputs.mask);
  if (wanted.masked_ids) call.masked_ids = non_null(wanted.in_place ? input_ids : outputs.masked_ids);
  if (wanted.labels) call.labels = non_null(outputs.labels);
  if (wanted.prediction_ids) call.prediction_ids = non_null(outputs.prediction_ids);
  if (wanted.positions) call.positions = non_null(outputs.positions);
  if (wanted.weights) call.weights = non_null(outputs.weights);
  if (wanted.span_numbers) call.span_numbers = non_null(outputs.span_numbers);
}

SampleShape choose_shape(Choices& choices, int64_t longest_row) {
  SampleShape shape = {};
  shape.maskable_kind = kMaskableKinds[choices.between(0, 5)];
  if (choices.one_in(2)) {
    shape.input_ids_kind = kIdKinds[choices.between(0, 2)];
    if (choices.one_in(4)) shape.maskable_kind = 0;
  }
  shape.num_rows = choices.one_in(8) ? 0 : choices.between(1, 12);
  shape.row_length = choices.between(0, longest_row);
  shape.has_words = choices.one_in(2);
  shape.has_segments = choices.one_in(3);
  return shape;
}

SampleCall make_sample_call(const SampleShape& shape, Choices& choices) {
  SampleCall sample;
  sample.shape = shape;
  maskcore_call& call = sample.call;
  call.num_rows = shape.num_rows;
  call.row_length = shape.row_length;
  call.maskable_kind = shape.maskable_kind;
  call.input_ids_kind = shape.input_ids_kind;
  call.seed = static_cast<uint64_t>(choices.between(0, kLargest63));
  call.epoch = choices.between(0, INT32_MAX);
  call.first_row_id = choices.between(0, kLargest63 - shape.num_rows);
  sample.length_thresholds = choose_thresholds(choices);
  call.num_length_thresholds = static_cast<int64_t>(sample.length_thresholds.size());
  if (shape.maskable_kind != 0) sample.maskable = choose_maskable(shape, choices);
  if (shape.has_words) sample.word_ids = choose_runs(shape, choices.one_in(4) ? 150 : 5, choices);
  if (shape.has_segments) sample.segment_ids = choose_runs(shape, 60, choices);
  choose_budget(sample, choices);
  sample.row_ids = choose_per_row(shape, 0, kLargest63, choices);
  sample.epochs = choose_per_row(shape, 0, INT32_MAX, choices);
  if (shape.input_ids_kind != 0) choose_tokens(sample, choices);
  choose_wanted(sample, choices);
  return sample;
}

}  // namespace maskcore_tests
