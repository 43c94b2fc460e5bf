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

struct Scalar {
  static constexpr uint32_t kFewDraws = kPanelBlocks;

  static uint64_t deposit_bits(uint64_t bits, uint64_t mask) noexcept {
    uint64_t deposited = 0;
    for (; mask != 0 && bits != 0; mask &= mask - 1, bits >>= 1) deposited |= (mask & (~mask + 1)) & (~(bits & 1) + 1);
    return deposited;
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

  static uint32_t cut_pieces(const LengthLaw& law, const uint16_t* draws, uint32_t num_draws, uint32_t unit,
                             uint32_t num_units, uint64_t* cuts) noexcept {
    return cut_pieces_one_by_one(law, draws, num_draws, unit, num_units, cuts);
  }

  static void nonzero_bits(const uint8_t* flags, uint32_t length, uint64_t* bits) noexcept {
    for (uint32_t first = 0; first < length; first += kWordBits) {
      uint64_t word = 0;
      for (uint32_t byte = 0; byte < 8 && first + 8 * byte < length; ++byte) {
        const uint32_t at = first + 8 * byte;
        uint64_t eight = 0;
        if (length - at >= 8)
          memcpy(&eight, flags + at, 8);
        else
          memcpy(&eight, flags + at, length - at);
        eight |= eight >> 4;
        eight |= eight >> 2;
        eight |= eight >> 1;
        word |= (eight & kLowBits) * 0x0102040810204080u >> 56 << (8 * byte);
      }
      bits[first / kWordBits] = word;
    }
  }

  static void expand_bits(const uint64_t* bits, uint32_t length, uint8_t* flags) noexcept {
    for (uint32_t at = 0; at < length; at += 8) {
      const uint64_t byte = bits[at / kWordBits] >> (at % kWordBits) & 0xFF;
      const uint64_t one_bit_each = byte * kLowBits & 0x8040201008040201u;
      const uint64_t eight = (one_bit_each + 0x7F * kLowBits) >> 7 & kLowBits;
      if (length - at >= 8)
        memcpy(flags + at, &eight, 8);
      else
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
