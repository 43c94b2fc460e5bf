// SPDX-License-Identifier: Apache-2.0
// One row: docs/algorithm.md, sections 4 and 5, on rows of bits. The steps carry the names that they have in the
// reference.
//
// Compiled once per instruction set: `Isa` supplies the primitives that differ (isa_*.cpp), `Position` is the smallest
// integer that holds an index. Nothing is allocated here, and nothing throws.
#ifndef MASKCORE_ROW_KERNEL_HPP_
#define MASKCORE_ROW_KERNEL_HPP_

#include "bits.hpp"
#include "lengths.hpp"
#include "philox.hpp"

namespace maskcore {
namespace {

// What one thread works in; carved out of one block of memory. Rows of bits have some words of room past the end.
template <class Position>
struct Scratch {
  uint64_t* eligible;     // tokens that may be masked, whole units only
  uint64_t* unit_starts;  // all ones without words
  uint64_t* segment_starts;
  uint64_t* unit_cuts;    // cuts by number of unit
  uint64_t* token_cuts;   // the same by token; not used without words
  uint64_t* span_starts;  // where candidates begin
  uint64_t* span_stops;   // where the one before ends: a start, or not eligible
  uint64_t* chosen;       // where the parts begin that are masked whole
  uint64_t* masked;
  Position* candidates;  // starts of the candidate spans, then shuffled
  Position* positions;   // masked positions
  uint32_t* others;      // kPanelWords steps of the shuffle
  uint8_t* flags;        // one byte a token

  // A panel may overshoot the last unit by 128 pieces of 8 units (cut_pieces_in_unary): sixteen words, and the one in
  // which they end.
  static constexpr uint32_t kSpareWords = 17;

  static constexpr int kNumRows = 9;

  static uint64_t row_words(uint32_t row_length) noexcept { return uint64_t{num_words(row_length)} + kSpareWords; }
  static uint64_t list_bytes(uint32_t row_length) noexcept {
    return (uint64_t{num_words(row_length)} + 1) * kWordBits * sizeof(Position);
  }
  static uint64_t num_bytes(uint32_t row_length) noexcept {
    const uint64_t bytes = kNumRows * row_words(row_length) * sizeof(uint64_t) + 2 * list_bytes(row_length) +
                           kPanelWords * sizeof(uint32_t) + (uint64_t{num_words(row_length)} + 1) * kWordBits;
    return (bytes + 63) / 64 * 64;
  }

  Scratch() noexcept = default;

  Scratch(uint8_t* memory, uint32_t row_length) noexcept {
    uint64_t* rows = reinterpret_cast<uint64_t*>(memory);
    uint64_t** const all[kNumRows] = {&eligible,    &unit_starts, &segment_starts, &unit_cuts, &token_cuts,
                                      &span_starts, &span_stops,  &chosen,         &masked};
    for (uint64_t** row : all) {
      *row = rows;
      rows += row_words(row_length);
    }
    candidates = reinterpret_cast<Position*>(rows);
    positions = candidates + list_bytes(row_length) / sizeof(Position);
    others = reinterpret_cast<uint32_t*>(positions + list_bytes(row_length) / sizeof(Position));
    flags = reinterpret_cast<uint8_t*>(others + kPanelWords);
  }
};

// How many draws are made at first; a plan for speed that changes no bit. The first panel of a row holds the first
// blocks of both streams.
struct DrawPlan {
  static constexpr uint32_t kMostOrderBlocks = 8;

  uint32_t order_blocks;   // first in the panel
  uint32_t length_blocks;  // behind them
  int64_t num_steps;       // of the shuffle; a row hardly ever takes more

  DrawPlan(const LengthLaw& law, uint32_t row_length, int64_t budget) noexcept {
    // The parts taken are shorter than the pieces where boundaries cut them; one more draw for the anchor, and some for
    // the spread.
    const int64_t mean_parts = budget * 256 / law.mean_q8;
    const int64_t parts = mean_parts + budget / 8 + 3;
    const int64_t order_wanted = at_most((parts + 3) / 4, kMostOrderBlocks);
    const int64_t length_wanted = law.num_thresholds == 0 ? 0 : (int64_t{law.num_pieces(row_length)} + 7) / 8;
    order_blocks = static_cast<uint32_t>(at_most(order_wanted, length_wanted < 12 ? kPanelBlocks - length_wanted : 4));
    length_blocks = static_cast<uint32_t>(at_most(length_wanted, kPanelBlocks - order_blocks));
    // The longer the pieces, the more of them are cut.
    num_steps = mean_parts + (budget - mean_parts) / 4 + 2;
  }

  Panel first_panel() const noexcept {
    return {block_counter(kSpanOrder, 0), order_blocks, block_counter(kPieceLength, 0), {}};
  }

 private:
  static int64_t at_most(int64_t value, int64_t most) noexcept { return value < most ? value : most; }
};

// A row that is cut, with its anchor taken out of the candidates.
struct Prepared {
  uint32_t num_candidates;  // with the anchor's
  uint32_t head;            // first token of the anchor's span
  uint32_t tail;            // first token of the anchor's unit
};

// `kWords` is the length of a row in words where it is known at compile time, else 0.
template <class Isa, class Position, uint32_t kWords>
class RowKernel {
 public:
  RowKernel(const KeySchedule& keys, const LengthLaw& law, const DrawPlan& plan, uint32_t row_length, bool has_words,
            bool has_segments) noexcept
      : keys_(keys),
        law_(law),
        plan_(plan),
        row_length_(row_length),
        num_words_(num_words(row_length)),
        has_words_(has_words),
        has_segments_(has_segments) {}

  // Drops words that hold a token that may not be masked, or a segment boundary: section 4.2.
  void drop_broken_words(const Scratch<Position>& s) const noexcept {
    uint32_t dropped_stop = 0;  // where the last word that was dropped ends
    for (uint32_t word = 0; word < row_words(); ++word) {
      const uint64_t inner = ~s.unit_starts[word];  // tokens that continue a unit; also past the end
      const uint64_t continued = inner >> 1 | ~s.unit_starts[word + 1] << (kWordBits - 1);
      const uint64_t boundary = has_segments_ ? s.segment_starts[word] & inner : 0;
      const uint64_t broken = (~s.eligible[word] & (inner | continued)) | boundary;
      uint64_t left = bits_from(broken, word, dropped_stop);
      while (left != 0) {
        const uint32_t token = word * kWordBits + lowest_one(left);
        dropped_stop = next_one(s.unit_starts, token + 1);
        clear_range(s.eligible, previous_one(s.unit_starts, token), dropped_stop);
        left = bits_from(left, word, dropped_stop);
      }
    }
  }

  // Section 4.3.
  void cut_pieces(const Scratch<Position>& s, const RowAddress& address, const uint32_t* draws) const noexcept {
    const uint32_t num_units = count_needed_units(s);
    if (law_.num_thresholds == 0) {
      clear_all(s.unit_cuts, row_words());
      for (uint32_t unit = 0; unit < num_units; unit += law_.shortest) set_bit(s.unit_cuts, unit);
    } else {
      uint32_t num_blocks = plan_.length_blocks;
      uint32_t unit = Isa::cut_pieces(law_, reinterpret_cast<const uint16_t*>(draws + 4 * plan_.order_blocks),
                                      8 * num_blocks, 0, num_units, s.unit_cuts);
      while (unit < num_units) {
        alignas(64) uint32_t more[2 * kPanelWords];  // room for a vector that ends past the panel
        Isa::philox_panel(keys_, {block_counter(kPieceLength, num_blocks), kPanelBlocks, 0, address}, more);
        unit = Isa::cut_pieces(law_, reinterpret_cast<const uint16_t*>(more), 8 * kPanelBlocks, unit, num_units,
                               s.unit_cuts);
        num_blocks += kPanelBlocks;
      }
    }
    if (has_words_) spread_cuts(s);
  }

  // Finds the candidates and the anchor, draws the first steps: all that comes before the branch that ends the row. The
  // row has an eligible token and is cut; `draws` is its first panel.
  Prepared prepare_row(const Scratch<Position>& s, uint32_t num_eligible, const uint32_t* draws) const noexcept {
    find_candidates(s);
    const uint32_t num_candidates = Isa::list_ones(s.span_starts, row_words(), s.candidates);
    const Anchor anchor = choose_anchor(s, draws[0], num_eligible);
    const uint32_t head = s.candidates[anchor.candidate];
    s.candidates[anchor.candidate] = s.candidates[0];
    Isa::template draw_steps<4 * DrawPlan::kMostOrderBlocks>(draws, 0, num_candidates, s.others);
    Isa::clear_flags(s.flags, row_length_);
    return {num_candidates, head, anchor.tail};
  }

  // A row of which nothing is masked.
  void leave_row(const Scratch<Position>& s) const noexcept {
    clear_all(s.masked, row_words());
    clear_all(s.span_starts, row_words());
  }

  // Masks `budget` of the eligible tokens, at least 1 and at most all: fills s.masked.
  void mask_row(const Scratch<Position>& s, const RowAddress& address, const Prepared& row,
                uint32_t budget) const noexcept {
    const Part last = choose_spans(s, address, row, budget);
    Isa::nonzero_bits(s.flags, row_length_, s.chosen);
    mask_chosen(s);
    if (last.length != 0) set_range(s.masked, last.start, last.length);
  }

 private:
  uint32_t row_words() const noexcept { return kWords != 0 ? kWords : num_words_; }

  // The bits of word number `word` that stand for token `first` or later ones.
  static uint64_t bits_from(uint64_t bits, uint32_t word, uint32_t first) noexcept {
    if (first <= word * kWordBits) return bits;
    const uint32_t passed = first - word * kWordBits;
    return passed >= kWordBits ? 0 : bits >> passed << passed;
  }

  // Units after the last eligible one need no cuts.
  uint32_t count_needed_units(const Scratch<Position>& s) const noexcept {
    uint32_t word = row_words() - 1;
    while (s.eligible[word] == 0) --word;
    const uint32_t last = word * kWordBits + highest_one(s.eligible[word]);
    if (!has_words_) return last + 1;
    const uint64_t upto = s.unit_starts[word] << (kWordBits - 1 - last % kWordBits);
    return count_all(s.unit_starts, word) + count_ones(upto);
  }

  // From unit numbers to tokens: the k-th set bit of unit_starts is a cut when bit k of unit_cuts is.
  void spread_cuts(const Scratch<Position>& s) const noexcept {
    uint32_t unit = 0;
    for (uint32_t word = 0; word < row_words(); ++word) {
      const uint64_t starts = s.unit_starts[word];
      s.token_cuts[word] = Isa::deposit_bits(read_bits(s.unit_cuts, unit), starts);
      unit += count_ones(starts);
    }
  }

  void find_candidates(const Scratch<Position>& s) const noexcept {
    const uint64_t* cuts = has_words_ ? s.token_cuts : s.unit_cuts;
    uint64_t before = 0;  // is the last token of the word before eligible?
    for (uint32_t word = 0; word < row_words(); ++word) {
      const uint64_t eligible = s.eligible[word];
      uint64_t begins = ~(eligible << 1 | before) | cuts[word];
      if (has_segments_) begins |= s.segment_starts[word];
      s.span_starts[word] = eligible & begins;
      s.span_stops[word] = (eligible & begins) | ~eligible;
      before = eligible >> (kWordBits - 1);
    }
    s.span_stops[row_words()] = ~uint64_t{0};
  }

  struct Part {
    uint32_t start;
    uint32_t length;
  };

  struct Anchor {
    uint32_t tail;       // first token of the anchor's unit
    uint32_t candidate;  // number of the span that holds it
  };

  // Goes through the whole row by masks, since where the anchor lies cannot be predicted.
  Anchor choose_anchor(const Scratch<Position>& s, uint32_t draw, uint32_t num_eligible) const noexcept {
    const uint32_t rank = mulhi(draw, num_eligible);
    uint32_t passed = 0, word_of_anchor = 0, eligible_before = 0, starts_before = 0;
    for (uint32_t word = 0; word < row_words(); ++word) {
      passed += count_ones(s.eligible[word]);
      const uint32_t if_before = 0u - static_cast<uint32_t>(passed <= rank);
      word_of_anchor -= if_before;
      eligible_before = (passed & if_before) | (eligible_before & ~if_before);
      starts_before += count_ones(s.span_starts[word]) & if_before;
    }
    const uint64_t one = Isa::select_one(s.eligible[word_of_anchor], rank - eligible_before);
    const uint32_t anchor = word_of_anchor * kWordBits + lowest_one(one);
    const uint32_t starts = starts_before + count_ones(s.span_starts[word_of_anchor] & (one | (one - 1)));
    return {has_words_ ? previous_one(s.unit_starts, anchor) : anchor, starts - 1};
  }

  // Takes the parts in their order until one uses the budget up: section 5.3. Sets the flag of each part that is masked
  // whole before that, and returns what is masked of the last one.
  Part choose_spans(const Scratch<Position>& s, const RowAddress& address, const Prepared& row,
                    uint32_t budget) const noexcept {
    // Bytes, since bits would make a chain of loads and stores of one word.
    uint8_t* const is_chosen = s.flags;
    const uint64_t* const span_stops = s.span_stops;
    Position* const order = s.candidates;
    const uint32_t* other = s.others;
    const uint64_t num_candidates = row.num_candidates;
    uint64_t num_blocks = plan_.order_blocks;
    uint64_t panel_stop = 4 * num_blocks < num_candidates ? 4 * num_blocks : num_candidates;
    uint64_t remaining = budget;
    uint64_t start = row.tail;
    for (uint64_t step = 1;; ++step) {
      const uint64_t length = distance_to_next_one(span_stops, start);
      if (length >= remaining) {
        const uint32_t fitting = units_that_fit(s, start, length, remaining);
        if (fitting != 0 || remaining != budget) return {static_cast<uint32_t>(start), fitting};
        // Nothing at all is masked yet: the next part is tried.
      } else {
        is_chosen[start] = 1;
        remaining -= length;
      }
      ++other;
      if (step == panel_stop) {
        if (step == num_candidates) break;
        alignas(64) uint32_t more[kPanelWords];
        Isa::philox_panel(
            keys_, {block_counter(kSpanOrder, static_cast<uint32_t>(num_blocks)), kPanelBlocks, 0, address}, more);
        Isa::template draw_steps<kPanelWords>(more, static_cast<uint32_t>(step), row.num_candidates, s.others);
        other = s.others;
        num_blocks += kPanelBlocks;
        panel_stop = num_candidates - step < kPanelWords ? num_candidates : step + kPanelWords;
      }
      start = order[*other];
      order[*other] = order[step];
    }
    return {row.head, units_that_fit(s, row.head, row.tail - row.head, remaining)};
  }

  // How many of the `length` tokens from `start` on make whole units and fit.
  uint32_t units_that_fit(const Scratch<Position>& s, uint64_t start, uint64_t length,
                          uint64_t remaining) const noexcept {
    if (length <= remaining) return static_cast<uint32_t>(length);
    if (!has_words_) return static_cast<uint32_t>(remaining);
    const uint32_t stop = previous_one(s.unit_starts, static_cast<uint32_t>(start + remaining));
    return stop - static_cast<uint32_t>(start);
  }

  // Fills each chosen part up to its stop: adding its start to the tokens that continue a span carries through them,
  // and turns them over.
  void mask_chosen(const Scratch<Position>& s) const noexcept {
    uint64_t carry = 0;     // out of the addition in the word before
    uint64_t last_bit = 0;  // of `chosen` in the word before
    for (uint32_t word = 0; word < row_words(); ++word) {
      const uint64_t continues = ~s.span_stops[word];
      const uint64_t chosen = s.chosen[word];
      const uint64_t with_start = continues + (chosen << 1 | last_bit);
      const uint64_t sum = with_start + carry;
      carry = (with_start < continues) | (sum < with_start);
      last_bit = chosen >> (kWordBits - 1);
      s.masked[word] = chosen | (continues & ~sum);
    }
    s.masked[row_words()] = 0;
  }

  const KeySchedule& keys_;
  const LengthLaw& law_;
  const DrawPlan& plan_;
  const uint32_t row_length_;
  const uint32_t num_words_;
  const bool has_words_;
  const bool has_segments_;
};

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_ROW_KERNEL_HPP_
