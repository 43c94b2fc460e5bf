// SPDX-License-Identifier: Apache-2.0
// One row: docs/algorithm.md, sections 4 and 5, on rows of bits. The steps carry the names that they have in the reference.
//
// Compiled once per instruction set: `Isa` supplies the primitives that differ (isa_*.cpp), `Position` is the smallest integer that
// holds an index. Nothing is allocated here, and nothing throws.
#ifndef MASKCORE_ROW_KERNEL_HPP_
#define MASKCORE_ROW_KERNEL_HPP_

#include "bits.hpp"
#include "lengths.hpp"
#include "philox.hpp"

namespace maskcore {
namespace {

// What one thread works in; carved out of one block of memory. Rows of bits have two words of room past the end.
template <class Position>
struct Scratch {
  uint64_t* eligible;      // tokens that may be masked, whole units only
  uint64_t* unit_starts;   // all ones without words
  uint64_t* segment_starts;
  uint64_t* unit_cuts;     // cuts by number of unit
  uint64_t* token_cuts;    // the same by token; the same memory without words
  uint64_t* span_starts;   // where candidates begin
  uint64_t* span_stops;    // where the one before ends: a start, or not eligible
  uint64_t* masked;
  Position* candidates;    // starts of the candidate spans, then shuffled
  Position* positions;     // masked positions
  uint8_t* flags;          // one byte a token

  static uint64_t row_bytes(uint32_t row_length) noexcept {
    return (uint64_t{num_words(row_length)} + 2) * sizeof(uint64_t);
  }
  static uint64_t list_bytes(uint32_t row_length) noexcept {
    return (uint64_t{num_words(row_length)} + 1) * kWordBits * sizeof(Position);
  }
  static uint64_t num_bytes(uint32_t row_length) noexcept {
    return 8 * row_bytes(row_length) + 2 * list_bytes(row_length) + (uint64_t{num_words(row_length)} + 1) * kWordBits;
  }

  Scratch(uint8_t* memory, uint32_t row_length) noexcept {
    uint64_t* rows = reinterpret_cast<uint64_t*>(memory);
    uint64_t** const all[] = {&eligible,   &unit_starts, &segment_starts, &unit_cuts,
                              &token_cuts, &span_starts, &span_stops,     &masked};
    for (uint64_t** row : all) {
      *row = rows;
      rows += num_words(row_length) + 2;
    }
    candidates = reinterpret_cast<Position*>(rows);
    positions = candidates + list_bytes(row_length) / sizeof(Position);
    flags = reinterpret_cast<uint8_t*>(positions + list_bytes(row_length) / sizeof(Position));
  }
};

// The first panel of a row holds the first blocks of both streams; how many of each is a plan for speed and changes no bit.
struct DrawPlan {
  uint32_t length_blocks;
  uint32_t order_blocks;

  DrawPlan(const LengthLaw& law, uint32_t row_length, int64_t budget) noexcept {
    // A span takes about mean / 2 to mean tokens after the gaps; one draw more for the anchor, and some for the spread.
    const int64_t spans = budget * 256 / law.mean_q8 + budget / 8 + 3;
    const int64_t wanted = (spans + 3) / 4;
    const int64_t pieces = int64_t{row_length} * 256 / law.mean_q8 + row_length / 16 + 3;
    const int64_t length_wanted = law.num_thresholds == 0 ? 0 : (pieces + 7) / 8;
    const int64_t least_for_order = length_wanted < 12 ? kPanelBlocks - length_wanted : 4;
    order_blocks = static_cast<uint32_t>(wanted < least_for_order ? (wanted < 1 ? 1 : wanted) : least_for_order);
    length_blocks = kPanelBlocks - order_blocks;
  }

  Panel first_panel(const RowAddress& address) const noexcept {
    return {block_counter(kPieceLength, 0), length_blocks, block_counter(kSpanOrder, 0), address};
  }
};

template <class Isa, class Position>
class RowKernel {
 public:
  RowKernel(const KeySchedule& keys, const LengthLaw& law, const DrawPlan& plan, uint32_t row_length, bool has_words,
            bool has_segments, const Scratch<Position>& scratch) noexcept
      : keys_(keys),
        law_(law),
        plan_(plan),
        row_words_(num_words(row_length)),
        has_words_(has_words),
        has_segments_(has_segments),
        scratch_(scratch) {}

  // Drops words that hold a token that may not be masked, or a segment boundary: section 4.2.
  void drop_broken_words() noexcept {
    const Scratch<Position>& s = scratch_;
    for (uint32_t word = 0; word < row_words_; ++word) {
      const uint64_t inner = ~s.unit_starts[word];  // tokens that continue a unit; also past the end
      const uint64_t continued = inner >> 1 | ~s.unit_starts[word + 1] << (kWordBits - 1);
      const uint64_t boundary = has_segments_ ? s.segment_starts[word] & inner : 0;
      uint64_t broken = (~s.eligible[word] & (inner | continued)) | boundary;
      while (broken != 0) {
        const uint32_t token = word * kWordBits + lowest_one(broken);
        const uint32_t start = previous_one(s.unit_starts, token);
        const uint32_t stop = next_one(s.unit_starts, token + 1);
        clear_range(s.eligible, start, stop);
        const uint32_t through = stop - word * kWordBits;
        broken = through >= kWordBits ? 0 : broken >> through << through;
      }
    }
  }

  // Masks `budget` of the `num_eligible` eligible tokens: fills scratch.masked and scratch.span_starts. `draws` is the first panel.
  void mask_row(const RowAddress& address, uint32_t num_eligible, uint32_t budget, const uint32_t* draws) noexcept {
    memset(scratch_.masked, 0, (row_words_ + 2) * sizeof(uint64_t));
    cut_pieces(address, draws);
    find_candidates();
    const uint32_t num_candidates = Isa::list_ones(scratch_.span_starts, row_words_, scratch_.candidates);
    remaining_ = budget_ = budget;
    choose_spans(address, num_eligible, num_candidates, draws + 4 * plan_.length_blocks);
  }

 private:
  void cut_pieces(const RowAddress& address, const uint32_t* draws) noexcept {
    const Scratch<Position>& s = scratch_;
    const uint32_t num_units = count_needed_units();
    memset(s.unit_cuts, 0, (row_words_ + 2) * sizeof(uint64_t));
    if (law_.num_thresholds == 0) {
      for (uint32_t unit = 0; unit < num_units; unit += law_.shortest)
        s.unit_cuts[unit / kWordBits] |= uint64_t{1} << (unit % kWordBits);
    } else {
      uint32_t num_blocks = plan_.length_blocks;
      uint32_t unit = Isa::cut_pieces(law_, reinterpret_cast<const uint16_t*>(draws), 8 * num_blocks, 0, num_units, s.unit_cuts);
      while (unit < num_units) {
        alignas(64) uint32_t more[kPanelWords];
        Isa::philox_panel(keys_, {block_counter(kPieceLength, num_blocks), kPanelBlocks, 0, address}, more);
        unit = Isa::cut_pieces(law_, reinterpret_cast<const uint16_t*>(more), 8 * kPanelBlocks, unit, num_units, s.unit_cuts);
        num_blocks += kPanelBlocks;
      }
    }
    if (has_words_) spread_cuts();
  }

  // Units after the last eligible one need no cuts.
  uint32_t count_needed_units() const noexcept {
    uint32_t word = row_words_ - 1;
    while (scratch_.eligible[word] == 0) --word;
    const uint32_t last = word * kWordBits + highest_one(scratch_.eligible[word]);
    return has_words_ ? count_through(scratch_.unit_starts, last) : last + 1;
  }

  // From unit numbers to tokens: the k-th set bit of unit_starts is a cut when bit k of unit_cuts is.
  void spread_cuts() noexcept {
    uint32_t unit = 0;
    for (uint32_t word = 0; word < row_words_; ++word) {
      const uint64_t starts = scratch_.unit_starts[word];
      scratch_.token_cuts[word] = Isa::deposit_bits(read_bits(scratch_.unit_cuts, unit), starts);
      unit += count_ones(starts);
    }
  }

  void find_candidates() noexcept {
    const Scratch<Position>& s = scratch_;
    const uint64_t* cuts = has_words_ ? s.token_cuts : s.unit_cuts;
    uint64_t before = 0;  // is the last token of the word before eligible?
    for (uint32_t word = 0; word < row_words_; ++word) {
      const uint64_t eligible = s.eligible[word];
      uint64_t begins = ~(eligible << 1 | before) | cuts[word];
      if (has_segments_) begins |= s.segment_starts[word];
      s.span_starts[word] = eligible & begins;
      s.span_stops[word] = (eligible & begins) | ~eligible;
      before = eligible >> (kWordBits - 1);
    }
    s.span_stops[row_words_] = ~uint64_t{0};
  }

  uint32_t choose_anchor(uint32_t draw, uint32_t num_eligible) const noexcept {
    uint32_t rank = mulhi(draw, num_eligible);
    uint32_t word = 0;
    for (uint32_t ones; (ones = count_ones(scratch_.eligible[word])) <= rank; ++word) rank -= ones;
    return word * kWordBits + lowest_one(Isa::deposit_bits(uint64_t{1} << rank, scratch_.eligible[word]));
  }

  void choose_spans(const RowAddress& address, uint32_t num_eligible, uint32_t num_candidates,
                    const uint32_t* draws) noexcept {
    Position* const order = scratch_.candidates;
    const uint32_t anchor = choose_anchor(draws[0], num_eligible);
    const uint32_t tail = has_words_ ? previous_one(scratch_.unit_starts, anchor) : anchor;
    const uint32_t first = count_through(scratch_.span_starts, tail) - 1;
    const uint32_t head = order[first];
    order[first] = order[0];
    if (!take_units(tail, next_one(scratch_.span_stops, tail + 1))) return;

    alignas(64) uint32_t more[kPanelWords];
    uint32_t num_blocks = plan_.order_blocks;
    uint32_t panel_start = 0;
    uint32_t panel_stop = 4 * num_blocks;
    for (uint32_t step = 1; step < num_candidates; ++step) {
      if (__builtin_expect(step == panel_stop, 0)) {
        Isa::philox_panel(keys_, {block_counter(kSpanOrder, num_blocks), kPanelBlocks, 0, address}, more);
        draws = more;
        panel_start = step;
        num_blocks += kPanelBlocks;
        panel_stop += kPanelWords;
      }
      const uint32_t other = step + mulhi(draws[step - panel_start], num_candidates - step);
      const uint32_t start = order[other];
      order[other] = order[step];
      if (!take_units(start, next_one(scratch_.span_stops, start + 1))) return;
    }
    take_units(head, tail);
  }

  // Masks the units of [start, stop) that fit, from the left; says whether the row goes on: section 5.3.
  bool take_units(uint32_t start, uint32_t stop) noexcept {
    uint32_t length = stop - start;
    if (__builtin_expect(length <= remaining_, 1)) {
      if (length != 0) set_range(scratch_.masked, start, length);
      remaining_ -= length;
      return remaining_ != 0;
    }
    length = has_words_ ? previous_one(scratch_.unit_starts, start + remaining_) - start : remaining_;
    if (length == 0) return remaining_ == budget_;
    set_range(scratch_.masked, start, length);
    return false;
  }

  const KeySchedule& keys_;
  const LengthLaw& law_;
  const DrawPlan& plan_;
  const uint32_t row_words_;
  const bool has_words_;
  const bool has_segments_;
  const Scratch<Position> scratch_;
  uint32_t budget_ = 0;
  uint32_t remaining_ = 0;
};

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_ROW_KERNEL_HPP_
