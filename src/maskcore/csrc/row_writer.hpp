// SPDX-License-Identifier: Apache-2.0
// What is written of a masked row: docs/algorithm.md, section 7, and for ids the replacement of the masked tokens.
// Compiled once per instruction set; knows nothing of how the row was chosen.
#ifndef MASKCORE_ROW_WRITER_HPP_
#define MASKCORE_ROW_WRITER_HPP_

#include "maskcore.h"
#include "row_kernel.hpp"

namespace maskcore {
namespace {

template <class Isa, class Element>
inline void write_ones(const uint64_t* bits, uint32_t length, Element one, uint8_t* flags, void* out) noexcept {
  Isa::expand_bits(bits, length, flags);
  Element* elements = static_cast<Element*>(out);
  for (uint32_t t = 0; t < length; ++t) elements[t] = flags[t] != 0 ? one : Element{0};
}

template <class Isa, class Position, uint32_t kWords>
class RowWriter {
 public:
  RowWriter(const maskcore_call& call, const KeySchedule& keys) noexcept
      : call_(call), keys_(keys), length_(static_cast<uint32_t>(call.row_length)) {}

  // Whether 0 and 1 in bytes are all that is written.
  bool writes_bytes_alone() const noexcept {
    return call_.mask != nullptr && call_.maskable_kind == MASKCORE_INT8 && !needs_positions();
  }

  // Writes all outputs of the call; the row's masked tokens and candidates are in `s`.
  void write_row(const Scratch<Position>& s, int64_t row, const RowAddress& address) const noexcept {
    if (call_.mask != nullptr) write_mask(s, row);
    if (needs_positions()) {
      const uint32_t num_masked = Isa::list_ones(s.masked, row_words(), s.positions);
      if (call_.span_numbers != nullptr) number_spans(s, row, num_masked);
      if (call_.positions != nullptr) write_positions(s, row, num_masked);
      if (call_.input_ids != nullptr) {
        if (call_.input_ids_kind == MASKCORE_INT16)
          write_tokens<int16_t>(s, row, address, num_masked);
        else if (call_.input_ids_kind == MASKCORE_INT32)
          write_tokens<int32_t>(s, row, address, num_masked);
        else
          write_tokens<int64_t>(s, row, address, num_masked);
      }
    }
  }

 private:
  uint32_t row_words() const noexcept { return kWords != 0 ? kWords : num_words(length_); }

  bool needs_positions() const noexcept {
    return call_.span_numbers != nullptr || call_.positions != nullptr || call_.input_ids != nullptr;
  }

  void write_mask(const Scratch<Position>& s, int64_t row) const noexcept {
    const int64_t offset = row * call_.row_length;
    switch (call_.maskable_kind) {
      case MASKCORE_INT8:
        return Isa::expand_bits(s.masked, length_, static_cast<uint8_t*>(call_.mask) + offset);
      case MASKCORE_INT16:
        return write_ones<Isa, uint16_t>(s.masked, length_, 1, s.flags, static_cast<uint16_t*>(call_.mask) + offset);
      case MASKCORE_INT32:
        return write_ones<Isa, uint32_t>(s.masked, length_, 1, s.flags, static_cast<uint32_t*>(call_.mask) + offset);
      case MASKCORE_INT64:
        return write_ones<Isa, uint64_t>(s.masked, length_, 1, s.flags, static_cast<uint64_t*>(call_.mask) + offset);
      case MASKCORE_FLOAT32:
        return write_ones<Isa, float>(s.masked, length_, 1.0f, s.flags, static_cast<float*>(call_.mask) + offset);
      default:
        return write_ones<Isa, double>(s.masked, length_, 1.0, s.flags, static_cast<double*>(call_.mask) + offset);
    }
  }

  void number_spans(const Scratch<Position>& s, int64_t row, uint32_t num_masked) const noexcept {
    int32_t* numbers = call_.span_numbers + row * call_.row_length;
    memset(numbers, 0, static_cast<uint64_t>(length_) * sizeof(int32_t));
    int32_t current = 0;
    uint32_t follows = 0;  // the token after the last masked one
    for (uint32_t k = 0; k < num_masked; ++k) {
      const uint32_t position = s.positions[k];
      if (k == 0 || position != follows || get_bit(s.span_starts, position)) ++current;
      numbers[position] = current;
      follows = position + 1;
    }
  }

  uint32_t num_written(uint32_t num_masked) const noexcept {
    return num_masked < call_.num_predictions ? num_masked : static_cast<uint32_t>(call_.num_predictions);
  }

  void write_positions(const Scratch<Position>& s, int64_t row, uint32_t num_masked) const noexcept {
    const int64_t room = call_.num_predictions;
    const uint32_t written = num_written(num_masked);
    int32_t* positions = call_.positions + row * room;
    for (uint32_t k = 0; k < written; ++k) positions[k] = static_cast<int32_t>(s.positions[k]);
    for (int64_t k = written; k < room; ++k) positions[k] = 0;
    if (call_.weights == nullptr) return;
    float* weights = call_.weights + row * room;
    for (uint32_t k = 0; k < written; ++k) weights[k] = 1.0f;
    for (int64_t k = written; k < room; ++k) weights[k] = 0.0f;
  }

  template <class Id>
  void write_tokens(const Scratch<Position>& s, int64_t row, const RowAddress& address,
                    uint32_t num_masked) const noexcept {
    const int64_t offset = row * call_.row_length;
    const Id* original = static_cast<const Id*>(call_.input_ids) + offset;
    pad_positions(s, num_masked);
    // Labels first: masked_ids may be input_ids itself.
    if (call_.prediction_ids != nullptr) {
      Id* predicted = static_cast<Id*>(call_.prediction_ids) + row * call_.num_predictions;
      const uint32_t written = num_written(num_masked);
      for (uint32_t k = 0; k < written; ++k) predicted[k] = original[s.positions[k]];
      for (int64_t k = written; k < call_.num_predictions; ++k) predicted[k] = 0;
    }
    if (call_.labels != nullptr) {
      if (call_.labels_kind == call_.input_ids_kind)
        write_labels(s, original, num_masked, static_cast<Id*>(call_.labels) + offset);
      else
        write_labels(s, original, num_masked, static_cast<int32_t*>(call_.labels) + offset);
    }
    if (call_.masked_ids != nullptr) {
      Id* masked_ids = static_cast<Id*>(call_.masked_ids) + offset;
      if (masked_ids != original) memcpy(masked_ids, original, static_cast<uint64_t>(length_) * sizeof(Id));
      replace_tokens(s, address, num_masked, masked_ids);
    }
  }

  // How many positions the loops over masked tokens go through: whole panels, since how many are masked cannot be
  // predicted. Those past the end repeat the last (pad_positions), and what is done twice is done alike.
  static uint32_t padded_count(uint32_t num_masked) noexcept {
    return (num_masked + kPanelBlocks - 1) / kPanelBlocks * kPanelBlocks;
  }

  static void pad_positions(const Scratch<Position>& s, uint32_t num_masked) noexcept {
    if (num_masked == 0) return;
    const Position last = s.positions[num_masked - 1];
    for (uint32_t k = 0; k < kPanelBlocks; ++k) s.positions[num_masked + k] = last;
  }

  template <class Id, class Label>
  void write_labels(const Scratch<Position>& s, const Id* original, uint32_t num_masked, Label* labels) const noexcept {
    const Label ignored = static_cast<Label>(call_.ignore_index);
    for (uint32_t t = 0; t < length_; ++t) labels[t] = ignored;
    const uint32_t count = padded_count(num_masked);
    for (uint32_t k = 0; k < count; ++k) labels[s.positions[k]] = static_cast<Label>(original[s.positions[k]]);
  }

  // Draws for a panel of masked positions at once: first what becomes of each, then the ids of those that get a random
  // one.
  template <class Id>
  void replace_tokens(const Scratch<Position>& s, const RowAddress& address, uint32_t num_masked,
                      Id* ids) const noexcept {
    const uint64_t mask_below = call_.replacement_thresholds[0];
    const uint64_t random_below = call_.replacement_thresholds[1];
    const Id mask_id = static_cast<Id>(call_.mask_id);
    uint32_t to_randomise[2 * kPanelBlocks + 1] = {};
    uint32_t num_to_randomise = 0;
    for (uint32_t first = 0; first < num_masked; first += kPanelBlocks) {
      uint32_t at[kPanelBlocks];
      uint32_t draws[kPanelBlocks];
      for (uint32_t k = 0; k < kPanelBlocks; ++k) at[k] = s.positions[first + k];
      Isa::draw_at(keys_, kReplacement, address, at, draws);
      for (uint32_t k = 0; k < kPanelBlocks; ++k) {
        const bool is_kept = draws[k] >= random_below;
        const bool is_random = (draws[k] >= mask_below) & !is_kept & (first + k < num_masked);
        const Id kept = ids[at[k]];
        ids[at[k]] = is_kept ? kept : mask_id;
        to_randomise[num_to_randomise] = at[k];
        num_to_randomise += is_random;
      }
      if (num_to_randomise >= kPanelBlocks) {
        num_to_randomise -= kPanelBlocks;
        randomise(address, to_randomise + num_to_randomise, kPanelBlocks, ids);
      }
    }
    if (num_to_randomise != 0) randomise(address, to_randomise, num_to_randomise, ids);
  }

  template <class Id>
  void randomise(const RowAddress& address, const uint32_t* at, uint32_t count, Id* ids) const noexcept {
    const uint32_t num_random_ids = static_cast<uint32_t>(call_.num_random_ids);
    if (count <= Isa::kFewDraws) {
      for (uint32_t k = 0; k < count; ++k) {
        uint32_t words[4];
        philox_block(keys_, block_counter(kRandomId, at[k] / 4), address, words);
        ids[at[k]] = static_cast<Id>(call_.random_ids[mulhi(words[at[k] % 4], num_random_ids)]);
      }
      return;
    }
    uint32_t padded[kPanelBlocks];
    uint32_t draws[kPanelBlocks];
    for (uint32_t k = 0; k < kPanelBlocks; ++k) padded[k] = at[k < count ? k : 0];
    Isa::draw_at(keys_, kRandomId, address, padded, draws);
    const uint32_t whole = (count + 3) / 4 * 4;  // what is done twice is done alike
    for (uint32_t k = 0; k < whole; ++k)
      ids[padded[k]] = static_cast<Id>(call_.random_ids[mulhi(draws[k], num_random_ids)]);
  }

  const maskcore_call& call_;
  const KeySchedule& keys_;
  const uint32_t length_;
};

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_ROW_WRITER_HPP_
