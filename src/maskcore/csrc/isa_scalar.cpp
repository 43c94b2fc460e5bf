// SPDX-License-Identifier: Apache-2.0
// The primitives in portable C++17, for any little-endian machine.
#include "batch.hpp"
#include "generic.hpp"
#include "isa.hpp"

#if defined(__BYTE_ORDER__)
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bytes are gathered into bits in little-endian order");
#endif

namespace maskcore {
namespace {

constexpr uint64_t kLowBits = 0x0101010101010101u;

// Longest piece that is cut by flags.
constexpr uint32_t kMostByFlags = 64;

// Eight bytes of 0 or 1 to eight bits, and back.
inline uint64_t gather_flags(uint64_t eight) noexcept { return eight * 0x0102040810204080u >> 56; }

inline uint64_t spread_flags(uint64_t byte) noexcept {
  const uint64_t one_bit_each = byte * kLowBits & 0x8040201008040201u;
  return (one_bit_each + 0x7F * kLowBits) >> 7 & kLowBits;
}

// Eight bytes of any values to eight bytes of 0 or 1.
inline uint64_t fold_to_flags(uint64_t eight) noexcept {
  eight |= eight >> 4;
  eight |= eight >> 2;
  eight |= eight >> 1;
  return eight & kLowBits;
}

inline uint64_t nonzero_word(const uint8_t* flags) noexcept {
  uint64_t word = 0;
  for (uint32_t byte = 0; byte < 8; ++byte) {
    uint64_t eight;
    memcpy(&eight, flags + 8 * byte, 8);
    word |= gather_flags(fold_to_flags(eight)) << (8 * byte);
  }
  return word;
}

struct Scalar {
  static constexpr uint32_t kFewDraws = kPanelBlocks;
  static constexpr bool kHasShortRows = false;
  using FirstPanels = GenericFirstPanels<Scalar>;

  static uint64_t deposit_bits(uint64_t bits, uint64_t mask) noexcept {
    uint64_t deposited = 0;
    for (; mask != 0 && bits != 0; mask &= mask - 1, bits >>= 1) deposited |= (mask & (~mask + 1)) & (~(bits & 1) + 1);
    return deposited;
  }

  // The set bit with `rank` set bits below it: by halves.
  static uint64_t select_one(uint64_t bits, uint32_t rank) noexcept {
    uint32_t shift = 0;
    for (uint32_t width = 32; width >= 8; width /= 2) {
      const uint32_t ones = count_ones(bits >> shift & ((uint64_t{1} << width) - 1));
      const uint32_t if_above = 0u - static_cast<uint32_t>(ones <= rank);
      rank -= ones & if_above;
      shift += width & if_above;
    }
    uint64_t rest = bits >> shift << shift;
    for (; rank != 0; --rank) rest &= rest - 1;
    return rest & (~rest + 1);
  }

  static void philox_panel(const KeySchedule& keys, const Panel& panel, uint32_t* words) noexcept {
    for (uint32_t b = 0; b < kPanelBlocks; ++b) {
      const bool in_first = b < panel.first_run_size;
      const uint32_t counter = in_first ? panel.first_run + b : panel.second_run + (b - panel.first_run_size);
      philox_block(keys, counter, panel.address, words + 4 * b);
    }
  }

  static void philox_two_panels(const KeySchedule& keys, const Panel& panel0, const Panel& panel1, uint32_t* words0,
                                uint32_t* words1) noexcept {
    philox_panel(keys, panel0, words0);
    philox_panel(keys, panel1, words1);
  }

  static void draw_at(const KeySchedule& keys, Purpose purpose, const RowAddress& address, const uint32_t* at,
                      uint32_t* draws) noexcept {
    uint32_t words[4];
    for (int k = 0; k < kPanelBlocks; ++k) {
      const bool is_same_block = k != 0 && at[k] / 4 == at[k - 1] / 4;
      if (!is_same_block) philox_block(keys, block_counter(purpose, at[k] / 4), address, words);
      draws[k] = words[at[k] % 4];
    }
  }

  template <uint32_t kCount>
  static void draw_steps(const uint32_t* draws, uint32_t first_step, uint32_t num_candidates,
                         uint32_t* others) noexcept {
    generic_draw_steps<kCount>(draws, first_step, num_candidates, others);
  }

  // Cuts as flags, without a branch on draws.
  template <uint32_t kNumThresholds>
  static uint32_t cut_pieces_by_flags(const LengthLaw& law, const uint16_t* draws, uint32_t num_draws, uint32_t unit,
                                      uint32_t num_units, uint64_t* cuts) noexcept {
    constexpr uint32_t kWindow = 256;
    uint32_t thresholds[kNumThresholds];  // copies: what is stored in flags might be the law, for all that the compiler
                                          // knows
    for (uint32_t j = 0; j < kNumThresholds; ++j) thresholds[j] = law.thresholds[j];
    const uint32_t shortest = law.shortest;
    CutWriter writer(cuts, unit);
    uint32_t piece = 0;
    while (piece < num_draws && writer.unit() < num_units) {
      uint8_t is_cut[kWindow + kMostByFlags] = {};
      const uint32_t window = num_units - writer.unit() < kWindow ? num_units - writer.unit() : kWindow;
      uint32_t stop = 0;
      for (; piece < num_draws && stop < window; ++piece) {
        is_cut[stop] = 1;
        stop += shortest;
        for (uint32_t j = 0; j < kNumThresholds; ++j) stop += draws[piece] >= thresholds[j];
      }
      for (uint32_t at = 0; at < stop; at += kWordBits)
        writer.append(nonzero_word(is_cut + at), stop - at < kWordBits ? stop - at : kWordBits);
    }
    writer.finish();
    return writer.unit();
  }

  static uint32_t cut_pieces(const LengthLaw& law, const uint16_t* draws, uint32_t num_draws, uint32_t unit,
                             uint32_t num_units, uint64_t* cuts) noexcept {
    if (law.shortest + law.num_thresholds > kMostByFlags)
      return cut_pieces_one_by_one(law, draws, num_draws, unit, num_units, cuts);
    switch (law.num_thresholds) {
      case 1:
        return cut_pieces_by_flags<1>(law, draws, num_draws, unit, num_units, cuts);
      case 2:
        return cut_pieces_by_flags<2>(law, draws, num_draws, unit, num_units, cuts);
      case 3:
        return cut_pieces_by_flags<3>(law, draws, num_draws, unit, num_units, cuts);
      case 4:
        return cut_pieces_by_flags<4>(law, draws, num_draws, unit, num_units, cuts);
      default:
        return cut_pieces_one_by_one(law, draws, num_draws, unit, num_units, cuts);
    }
  }

  static void nonzero_bits(const uint8_t* flags, uint32_t length, uint64_t* bits) noexcept {
    uint32_t first = 0;
    for (; first + kWordBits <= length; first += kWordBits) bits[first / kWordBits] = nonzero_word(flags + first);
    if (first < length) {
      uint8_t padded[kWordBits] = {};
      memcpy(padded, flags + first, length - first);
      bits[first / kWordBits] = nonzero_word(padded);
    }
  }

  static void clear_flags(uint8_t* flags, uint32_t length) noexcept { memset(flags, 0, length); }

  static void expand_bits(const uint64_t* bits, uint32_t length, uint8_t* flags) noexcept {
    uint32_t at = 0;
    for (; at + 8 <= length; at += 8) {
      const uint64_t eight = spread_flags(bits[at / kWordBits] >> (at % kWordBits) & 0xFF);
      memcpy(flags + at, &eight, 8);
    }
    if (at < length) {
      const uint64_t eight = spread_flags(bits[at / kWordBits] >> (at % kWordBits) & 0xFF);
      memcpy(flags + at, &eight, length - at);
    }
  }

  template <class Position>
  static uint32_t list_ones(const uint64_t* bits, uint32_t words, Position* list) noexcept {
    return generic_list_ones(bits, words, list);
  }

  static void changed_bits(const int32_t* ids, uint32_t length, uint64_t* bits) noexcept {
    generic_changed_bits<Scalar>(ids, length, bits);
  }

  static void word_start_bits(const int32_t* ids, uint32_t length, uint64_t* bits) noexcept {
    generic_word_start_bits<Scalar>(ids, length, bits);
  }
};

}  // namespace

int32_t mask_row_range_scalar(const maskcore_call& call, int64_t first_row, int64_t stop_row) noexcept {
  return mask_row_range<Scalar>(call, first_row, stop_row);
}

}  // namespace maskcore
