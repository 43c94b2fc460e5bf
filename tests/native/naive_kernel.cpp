// SPDX-License-Identifier: Apache-2.0
// The steps of docs/algorithm.md, sections 2 and 4 to 7, one row at a time, with vectors and no tricks.
#include "naive_kernel.hpp"

#include <algorithm>
#include <utility>

namespace maskcore_tests {
namespace {

enum Purpose : uint32_t { kPieceLength = 1, kSpanOrder = 2, kReplacement = 3, kRandomId = 4 };

struct Unit {
  int64_t start, stop;  // tokens
  bool is_eligible;
  int64_t candidate;  // number of the candidate span that holds it; -1: none
};

using Units = std::vector<Unit>;

class NaiveRow {
 public:
  NaiveRow(const SampleCall& sample, int64_t row)
      : sample_(sample), call_(sample.call), row_(row), first_(row * sample.shape.row_length) {}

  // masked[t] is the number of the span that holds t, from 1 on, or 0.
  std::vector<int32_t> mask() {
    make_units();
    mark_candidates();
    choose();
    return number_spans();
  }

  uint32_t word(Purpose purpose, int64_t index) const {
    const uint64_t row_id =
        static_cast<uint64_t>(sample_.row_ids.empty() ? call_.first_row_id + row_ : at(sample_.row_ids, row_));
    const int64_t epoch = sample_.epochs.empty() ? call_.epoch : at(sample_.epochs, row_);
    const uint32_t counter[4] = {purpose << 24 | static_cast<uint32_t>(index / 4), static_cast<uint32_t>(row_id),
                                 static_cast<uint32_t>(row_id >> 32), static_cast<uint32_t>(epoch)};
    const uint32_t key[2] = {static_cast<uint32_t>(call_.seed), static_cast<uint32_t>(call_.seed >> 32)};
    uint32_t words[4];
    maskcore_philox4x32_10(counter, key, words);
    return words[index % 4];
  }

  static int64_t mulhi(uint32_t draw, int64_t bound) {
    return static_cast<int64_t>(uint64_t{draw} * static_cast<uint64_t>(bound) >> 32);
  }

 private:
  template <class Element>
  static Element at(const std::vector<Element>& elements, int64_t index) {
    return elements[static_cast<size_t>(index)];
  }

  bool is_maskable(int64_t t) const {
    const SampleShape& shape = sample_.shape;
    if (shape.input_ids_kind != 0) {
      const int64_t id = load(sample_.input_ids, shape.input_ids_kind, first_ + t);
      for (size_t range = 0; range + 1 < sample_.special_ranges.size(); range += 2) {
        if (id >= sample_.special_ranges[range] && id <= sample_.special_ranges[range + 1]) return false;
      }
    }
    if (shape.maskable_kind == 0) return true;
    const int64_t bits = load(sample_.maskable, shape.maskable_kind, first_ + t);
    if (shape.maskable_kind == MASKCORE_FLOAT32) return (bits & 0x7FFFFFFF) != 0;
    if (shape.maskable_kind == MASKCORE_FLOAT64) return (bits & INT64_MAX) != 0;
    return bits != 0;
  }

  bool continues_word(int64_t t) const {
    if (!sample_.shape.has_words || t == 0) return false;
    const int32_t id = at(sample_.word_ids, first_ + t);
    return id >= 0 && id == at(sample_.word_ids, first_ + t - 1);
  }

  bool begins_segment(int64_t t) const {
    return sample_.shape.has_segments && t > 0 &&
           at(sample_.segment_ids, first_ + t) != at(sample_.segment_ids, first_ + t - 1);
  }

  void make_units() {
    for (int64_t t = 0; t < sample_.shape.row_length; ++t) {
      if (continues_word(t)) {
        units_.back().stop = t + 1;
        units_.back().is_eligible &= is_maskable(t) && !begins_segment(t);
      } else {
        units_.push_back({t, t + 1, is_maskable(t), -1});
      }
    }
  }

  uint32_t halfword(int64_t index) const {
    const uint32_t both = word(kPieceLength, index / 2);
    return index % 2 == 0 ? both & 0xFFFF : both >> 16;
  }

  void mark_candidates() {
    int64_t piece = 0, left_in_piece = 0;
    for (size_t u = 0; u < units_.size(); ++u) {
      const bool is_cut = left_in_piece == 0;
      if (is_cut) {
        const uint32_t draw = halfword(piece++);
        left_in_piece = 1 + std::count_if(sample_.length_thresholds.begin(), sample_.length_thresholds.end(),
                                          [draw](uint32_t threshold) { return draw >= threshold; });
      }
      --left_in_piece;
      if (!units_[u].is_eligible) continue;
      if (u == 0 || !units_[u - 1].is_eligible || is_cut || begins_segment(units_[u].start)) candidates_.emplace_back();
      units_[u].candidate = static_cast<int64_t>(candidates_.size()) - 1;
      candidates_.back().push_back(units_[u]);
    }
  }

  int64_t budget(int64_t num_eligible) const {
    int64_t budget = sample_.budgets.empty() ? call_.budget : at(sample_.budgets, row_);
    if (call_.ratio_e9 != 0) {
      budget = std::max<int64_t>(1, (2 * call_.ratio_e9 * num_eligible + 1000000000) / 2000000000);
      if (call_.budget_cap >= 0) budget = std::min(budget, call_.budget_cap);
    }
    return std::clamp<int64_t>(budget, 0, num_eligible);
  }

  void choose() {
    masked_.assign(static_cast<size_t>(sample_.shape.row_length), false);
    std::vector<Unit> unit_of;  // by eligible token
    for (const Unit& unit : units_) {
      if (unit.is_eligible) unit_of.insert(unit_of.end(), static_cast<size_t>(unit.stop - unit.start), unit);
    }
    const int64_t budget = this->budget(static_cast<int64_t>(unit_of.size()));
    if (budget == 0) return;
    const Unit& anchor = unit_of[static_cast<size_t>(mulhi(word(kSpanOrder, 0), static_cast<int64_t>(unit_of.size())))];
    mask_parts(parts_in_order(anchor), budget);
  }

  std::vector<Units> parts_in_order(const Unit& anchor) {
    Units tail, head;
    for (const Unit& unit : candidates_[static_cast<size_t>(anchor.candidate)])
      (unit.start >= anchor.start ? tail : head).push_back(unit);
    std::vector<Units> order = candidates_;
    std::swap(order[0], order[static_cast<size_t>(anchor.candidate)]);
    const int64_t count = static_cast<int64_t>(order.size());
    for (int64_t step = 1; step < count; ++step)
      std::swap(order[static_cast<size_t>(step)],
                order[static_cast<size_t>(step + mulhi(word(kSpanOrder, step), count - step))]);
    order[0] = tail;
    order.push_back(head);
    return order;
  }

  void mask_parts(const std::vector<Units>& parts, int64_t budget) {
    int64_t remaining = budget;
    for (const Units& part : parts) {
      for (const Unit& unit : part) {
        if (unit.stop - unit.start > remaining) {
          if (remaining == budget) break;
          return;
        }
        std::fill(masked_.begin() + unit.start, masked_.begin() + unit.stop, true);
        remaining -= unit.stop - unit.start;
      }
    }
  }

  std::vector<int32_t> number_spans() const {
    std::vector<int32_t> numbers(masked_.size(), 0);
    int32_t current = 0;
    for (const Units& candidate : candidates_) {
      bool is_open = false;
      for (const Unit& unit : candidate) {
        for (int64_t t = unit.start; t < unit.stop; ++t) {
          if (masked_[static_cast<size_t>(t)] && !is_open) ++current;
          is_open = masked_[static_cast<size_t>(t)];
          if (is_open) numbers[static_cast<size_t>(t)] = current;
        }
      }
    }
    return numbers;
  }

  const SampleCall& sample_;
  const maskcore_call& call_;
  const int64_t row_;
  const int64_t first_;
  Units units_;
  std::vector<Units> candidates_;
  std::vector<bool> masked_;
};

int64_t one_of(int32_t kind) {
  return kind == MASKCORE_FLOAT32 ? 0x3F800000 : kind == MASKCORE_FLOAT64 ? 0x3FF0000000000000 : 1;
}

int64_t replaced(const SampleCall& sample, const NaiveRow& row, int64_t t, int64_t id) {
  const uint32_t draw = row.word(kReplacement, t);
  if (draw < sample.call.replacement_thresholds[0]) return sample.call.mask_id;
  if (draw >= sample.call.replacement_thresholds[1]) return id;
  return sample.random_ids[static_cast<size_t>(NaiveRow::mulhi(row.word(kRandomId, t), sample.call.num_random_ids))];
}

void write_row(const SampleCall& sample, int64_t row, Outputs& outputs) {
  NaiveRow naive(sample, row);
  const std::vector<int32_t> numbers = naive.mask();
  const maskcore_call& call = sample.call;
  const SampleShape& shape = sample.shape;
  int64_t prediction = row * call.num_predictions;
  const int64_t stop = prediction + call.num_predictions;
  for (int64_t t = 0; t < shape.row_length; ++t) {
    const int64_t token = row * shape.row_length + t;
    const int32_t number = numbers[static_cast<size_t>(t)];
    const bool is_masked = number != 0;
    if (sample.wanted.mask)
      store(outputs.mask, shape.maskable_kind, token, is_masked ? one_of(shape.maskable_kind) : 0);
    if (sample.wanted.span_numbers) outputs.span_numbers[static_cast<size_t>(token)] = number;
    const int64_t id = shape.input_ids_kind == 0 ? 0 : load(sample.input_ids, shape.input_ids_kind, token);
    if (sample.wanted.labels) store(outputs.labels, call.labels_kind, token, is_masked ? id : call.ignore_index);
    if (sample.wanted.masked_ids)
      store(outputs.masked_ids, shape.input_ids_kind, token, is_masked ? replaced(sample, naive, t, id) : id);
    if (!is_masked || prediction == stop) continue;
    if (sample.wanted.positions) outputs.positions[static_cast<size_t>(prediction)] = static_cast<int32_t>(t);
    if (sample.wanted.weights) outputs.weights[static_cast<size_t>(prediction)] = 1.0f;
    if (sample.wanted.prediction_ids) store(outputs.prediction_ids, shape.input_ids_kind, prediction, id);
    ++prediction;
  }
}

}  // namespace

Outputs expected_outputs(const SampleCall& sample) {
  Outputs outputs = sample.blank_outputs(0);  // the padding of positions, weights and predicted ids is zero
  for (int64_t row = 0; row < sample.shape.num_rows; ++row) write_row(sample, row, outputs);
  return outputs;
}

}  // namespace maskcore_tests
