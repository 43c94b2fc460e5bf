// SPDX-License-Identifier: Apache-2.0
// The law of the piece lengths and how draws become cuts: docs/algorithm.md, section 4.3.
#ifndef MASKCORE_LENGTHS_HPP_
#define MASKCORE_LENGTHS_HPP_

#include "bits.hpp"

namespace maskcore {
namespace {

constexpr uint32_t kLengthDraws = 1u << 16;

// Length of a piece = shortest + #{j : draw >= thresholds[j]}, where thresholds lie strictly between 0 and 2^16: those
// at the ends decide nothing.
struct LengthLaw {
  uint32_t shortest = 1;
  uint32_t num_thresholds = 0;
  uint16_t thresholds[254];
  uint32_t mean_q8;  // mean length times 256, for planning only

  LengthLaw(const uint32_t* given, int64_t num_given) noexcept {
    uint64_t mean_q16 = kLengthDraws;
    for (int64_t j = 0; j < num_given; ++j) {
      mean_q16 += kLengthDraws - given[j];
      if (given[j] == 0) {
        ++shortest;
      } else if (given[j] < kLengthDraws) {
        thresholds[num_thresholds++] = static_cast<uint16_t>(given[j]);
      }
    }
    mean_q8 = static_cast<uint32_t>(mean_q16 >> 8);
  }

  // More than a row mostly has, for planning only.
  uint32_t num_pieces(uint32_t row_length) const noexcept {
    return static_cast<uint32_t>(uint64_t{row_length} * 256 / mean_q8) + row_length / 16;
  }
};

inline uint32_t draw_piece_length(const LengthLaw& law, uint32_t draw) noexcept {
  uint32_t length = law.shortest;
  for (uint32_t j = 0; j < law.num_thresholds && draw >= law.thresholds[j]; ++j) ++length;
  return length;
}

// cut_pieces, in all its versions: lays pieces with the given draws end to end from unit `unit` on, sets the bit of
// each one's first unit, and returns the unit after the last. On entry the bits from `unit` on hold rubbish; on return
// they are zero to the end of the word that holds the returned unit. Stops early, or not, once `num_units` is reached:
// cuts past it decide nothing.

// Cuts are kept in a register until their word is full; memory that is read back at once would cost more than all the
// rest.
class CutWriter {
 public:
  CutWriter(uint64_t* cuts, uint32_t unit) noexcept
      : cuts_(cuts),
        place_(cuts + unit / kWordBits),
        shift_(unit % kWordBits),
        word_(*place_ & ((uint64_t{1} << shift_) - 1)) {}

  // Appends `length` units, at most 64, with the cuts that are set in `bits`.
  void append(uint64_t bits, uint64_t length) noexcept {
    word_ |= bits << shift_;
    *place_ = word_;
    shift_ += length;
    if (shift_ >= kWordBits) {
      // Sixteen pieces fill a word two times in five; doing this by masks each time costs more than the branch.
      shift_ -= kWordBits;
      word_ = shift_ == 0 ? 0 : bits >> (length - shift_);
      ++place_;
    }
  }

  // Appends one piece of any length.
  void append_piece(uint32_t length) noexcept {
    append(1, length < kWordBits ? length : kWordBits);
    while (__builtin_expect(length > kWordBits, 0)) {
      length -= kWordBits;
      append(0, length < kWordBits ? length : kWordBits);
    }
  }

  uint32_t unit() const noexcept {
    return static_cast<uint32_t>(place_ - cuts_) * kWordBits + static_cast<uint32_t>(shift_);
  }
  void finish() noexcept { *place_ = word_; }

 private:
  const uint64_t* const cuts_;
  uint64_t* place_;
  uint64_t shift_;
  uint64_t word_;
};

// The same byte by byte, for appending at most 57 units at a time: no branch, and again nothing is read back.
class CutByteWriter {
 public:
  CutByteWriter(uint64_t* cuts, uint32_t unit) noexcept
      : cuts_(reinterpret_cast<uint8_t*>(cuts)),
        place_(cuts_ + unit / 8),
        shift_(unit % 8),
        bits_(*place_ & ((uint64_t{1} << shift_) - 1)) {}

  void append(uint64_t bits, uint64_t length) noexcept {
    bits_ |= bits << shift_;
    memcpy(place_, &bits_, sizeof(bits_));
    shift_ += length;
    place_ += shift_ / 8;
    bits_ >>= shift_ / 8 * 8;
    shift_ %= 8;
  }

  uint32_t unit() const noexcept { return static_cast<uint32_t>(place_ - cuts_) * 8 + static_cast<uint32_t>(shift_); }
  void finish() noexcept { memcpy(place_, &bits_, sizeof(bits_)); }

 private:
  uint8_t* const cuts_;
  uint8_t* place_;
  uint64_t shift_;
  uint64_t bits_;
};

inline uint32_t cut_pieces_one_by_one(const LengthLaw& law, const uint16_t* draws, uint32_t num_draws, uint32_t unit,
                                      uint32_t num_units, uint64_t* cuts) noexcept {
  CutWriter writer(cuts, unit);
  for (uint32_t piece = 0; piece < num_draws && writer.unit() < num_units; ++piece)
    writer.append_piece(draw_piece_length(law, draws[piece]));
  writer.finish();
  return writer.unit();
}

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_LENGTHS_HPP_
