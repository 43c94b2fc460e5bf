// SPDX-License-Identifier: Apache-2.0
// The law of the piece lengths and how draws become cuts: docs/algorithm.md, section 4.3.
#ifndef MASKCORE_LENGTHS_HPP_
#define MASKCORE_LENGTHS_HPP_

#include "bits.hpp"

namespace maskcore {
namespace {

constexpr uint32_t kLengthDraws = 1u << 16;

// Length of a piece = shortest + #{j : draw >= thresholds[j]}, where thresholds lie strictly between 0 and 2^16: those at the ends decide nothing.
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
};

inline uint32_t draw_piece_length(const LengthLaw& law, uint32_t draw) noexcept {
  uint32_t length = law.shortest;
  for (uint32_t j = 0; j < law.num_thresholds && draw >= law.thresholds[j]; ++j) ++length;
  return length;
}

// Sets the cuts of the pieces with the given draws, the first at unit `unit`, and returns the unit after the last piece. Stops once
// `num_units` is reached.
inline uint32_t cut_pieces_one_by_one(const LengthLaw& law, const uint16_t* draws, uint32_t num_draws, uint32_t unit,
                                      uint32_t num_units, uint64_t* cuts) noexcept {
  for (uint32_t piece = 0; piece < num_draws && unit < num_units; ++piece) {
    cuts[unit / kWordBits] |= uint64_t{1} << (unit % kWordBits);
    unit += draw_piece_length(law, draws[piece]);
  }
  return unit;
}

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_LENGTHS_HPP_
