// SPDX-License-Identifier: Apache-2.0
// Primitives that need no instruction of their own: shared by the isa_*.cpp files, compiled in each for its instruction
// set.
#ifndef MASKCORE_GENERIC_HPP_
#define MASKCORE_GENERIC_HPP_

#include "bits.hpp"
#include "lengths.hpp"
#include "philox.hpp"

namespace maskcore {
namespace {

// Bits of a condition on tokens: 64 flags at a time, which compilers turn into vector compares.
template <class Isa, class Condition>
inline void condition_bits(uint32_t length, Condition holds, uint64_t* bits) noexcept {
  uint8_t flags[kWordBits];
  for (uint32_t first = 0; first < length; first += kWordBits) {
    const uint32_t count = length - first < kWordBits ? length - first : kWordBits;
    for (uint32_t t = 0; t < count; ++t) flags[t] = holds(first + t) ? 1 : 0;
    Isa::nonzero_bits(flags, count, bits + first / kWordBits);
  }
}

// Token 0 and tokens with another id than the one before.
template <class Isa>
inline void generic_changed_bits(const int32_t* ids, uint32_t length, uint64_t* bits) noexcept {
  condition_bits<Isa>(length, [ids](uint32_t t) { return ids[t] != ids[t - (t != 0)]; }, bits);
  bits[0] |= 1;
}

// Token 0, tokens without a word, and tokens with another word than the one before.
template <class Isa>
inline void generic_word_start_bits(const int32_t* ids, uint32_t length, uint64_t* bits) noexcept {
  condition_bits<Isa>(length, [ids](uint32_t t) { return (ids[t] < 0) | (ids[t] != ids[t - (t != 0)]); }, bits);
  bits[0] |= 1;
}

// draw_steps: with which place of the order each of `kCount` steps exchanges its own (docs/algorithm.md, section 5.2).
// Of steps past the last candidate, rubbish.
template <uint32_t kCount>
inline void generic_draw_steps(const uint32_t* draws, uint32_t first_step, uint32_t num_candidates,
                               uint32_t* others) noexcept {
  for (uint32_t k = 0; k < kCount; ++k) {
    const uint32_t step = first_step + k;
    others[k] = step + mulhi(draws[k], num_candidates - step);
  }
}

// The first panel of every row of a batch.
template <class Isa>
class GenericFirstPanels {
 public:
  GenericFirstPanels(const KeySchedule& keys, const Panel& panel) noexcept : keys_(keys), panel_(panel) {}

  void draw(const RowAddress& address, uint32_t* words) const noexcept { Isa::philox_panel(keys_, at(address), words); }

  void draw_two(const RowAddress& address0, const RowAddress& address1, uint32_t* words0,
                uint32_t* words1) const noexcept {
    Isa::philox_two_panels(keys_, at(address0), at(address1), words0, words1);
  }

 private:
  Panel at(const RowAddress& address) const noexcept {
    return {panel_.first_run, panel_.first_run_size, panel_.second_run, address};
  }

  const KeySchedule& keys_;
  const Panel panel_;
};

template <class Position>
inline uint32_t generic_list_ones(const uint64_t* bits, uint32_t words, Position* list) noexcept {
  uint32_t count = 0;
  for (uint32_t word = 0; word < words; ++word) {
    for (uint64_t rest = bits[word]; rest != 0; rest &= rest - 1)
      list[count++] = static_cast<Position>(word * kWordBits + lowest_one(rest));
  }
  return count;
}

// Piece lengths written in unary: piece p owns `kStride` bits, of which as many are valid as it has units, and the
// first is its cut. Extracting the valid bits of many pieces at once lays the pieces end to end. For laws whose longest
// piece is at most kStride.
//
// Not inlined: among all that surrounds it, its loop would not keep its registers.
template <class Isa, class Writer, uint32_t kStride, uint32_t kNumThresholds>
__attribute__((noinline)) uint32_t cut_pieces_in_unary(const LengthLaw& law, const uint16_t* draws, uint32_t num_draws,
                                                       uint32_t unit, uint64_t* cuts) noexcept {
  constexpr uint32_t kPieces = kWordBits / kStride;
  constexpr uint64_t kCuts = ~uint64_t{0} / ((uint64_t{1} << kStride) - 1);
  const uint32_t shortest = law.shortest;
  const uint64_t always_valid = kCuts * ((uint64_t{1} << shortest) - 1);
  const auto valid_bits = [&law, shortest, always_valid](const uint16_t* pieces) noexcept {
    uint64_t valid = always_valid;
    for (uint32_t j = 0; j < kNumThresholds; ++j)
      valid |=
          Isa::deposit_bits(Isa::template reached_bits<kPieces>(pieces, law.thresholds[j]), kCuts << (shortest + j));
    return valid;
  };
  Writer writer(cuts, unit);
  uint32_t piece = 0;
  for (; piece + kPieces <= num_draws; piece += kPieces) {
    const uint64_t valid = valid_bits(draws + piece);
    writer.append(Isa::extract_bits(kCuts, valid), count_ones(valid));
  }
  if (piece < num_draws) {
    const uint64_t valid = valid_bits(draws + piece) & ((uint64_t{1} << ((num_draws - piece) * kStride)) - 1);
    writer.append(Isa::extract_bits(kCuts, valid), count_ones(valid));
  }
  writer.finish();
  return writer.unit();
}

template <class Isa>
inline uint32_t cut_pieces_by_extraction(const LengthLaw& law, const uint16_t* draws, uint32_t num_draws, uint32_t unit,
                                         uint32_t num_units, uint64_t* cuts) noexcept {
  if (law.shortest + law.num_thresholds <= 4) {
    switch (law.num_thresholds) {
      case 1:
        return cut_pieces_in_unary<Isa, CutWriter, 4, 1>(law, draws, num_draws, unit, cuts);
      case 2:
        if (law.shortest == 1) return cut_pieces_in_unary<Isa, CutByteWriter, 4, 2>(law, draws, num_draws, unit, cuts);
        return cut_pieces_in_unary<Isa, CutWriter, 4, 2>(law, draws, num_draws, unit, cuts);
      default:
        return cut_pieces_in_unary<Isa, CutWriter, 4, 3>(law, draws, num_draws, unit, cuts);
    }
  }
  if (law.shortest + law.num_thresholds <= 8 && law.num_thresholds == 4)
    return cut_pieces_in_unary<Isa, CutWriter, 8, 4>(law, draws, num_draws, unit, cuts);
  return cut_pieces_one_by_one(law, draws, num_draws, unit, num_units, cuts);
}

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_GENERIC_HPP_
