// SPDX-License-Identifier: Apache-2.0
// Cuts of eight rows from their draws, for laws whose longest piece has at most four units: docs/algorithm.md, section
// 4.3. Knows nothing of where the draws come from.
//
// Included by isa_avx512.cpp alone.
#ifndef MASKCORE_AVX512_PIECES_HPP_
#define MASKCORE_AVX512_PIECES_HPP_

#include <immintrin.h>

#include "avx512_bit_lanes.hpp"
#include "avx512_philox.hpp"
#include "lengths.hpp"

namespace maskcore {
namespace {

// Sixteen pieces of each row at once: every draw becomes a code of two bits, a table turns two codes into a byte of
// cuts, and neighbours are shifted together until the sixteen fill a lane.
class PieceCutter {
 public:
  static constexpr uint32_t kPieces = 16;  // of two blocks

  // Cuts so far, and how many units they are for. It has no initialisers: the constructor that GCC would make of them
  // is outside of its pragma for AVX-512, and does not compile where no flags are given file by file.
  struct Units {
    BitLanes cuts;
    __m512i count;

    static Units none() noexcept {
      const __m512i zero = _mm512_setzero_si512();
      return {{zero, zero}, zero};
    }
  };

  static bool can_cut(const LengthLaw& law) noexcept {
    return law.num_thresholds != 0 && law.shortest + law.num_thresholds <= 4;
  }

  explicit PieceCutter(const LengthLaw& law) noexcept : has_three_thresholds_(law.num_thresholds > 2) {
    alignas(16) uint8_t cuts[16];
    alignas(16) uint8_t lengths[16];
    for (uint32_t codes = 0; codes < 16; ++codes) {
      const uint32_t first = law.shortest + codes % 4;
      cuts[codes] = static_cast<uint8_t>(1 | 1 << first % 8);
      lengths[codes] = static_cast<uint8_t>(first + law.shortest + codes / 4);
    }
    cuts_of_codes_ = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(cuts)));
    lengths_of_codes_ = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(lengths)));
    for (uint32_t j = 0; j < kMostThresholds; ++j)
      limits_[j] = _mm512_set1_epi16(static_cast<short>(j < law.num_thresholds ? law.thresholds[j] - 1 : 0xFFFF));
  }

  void append(const EightBlocks& first, const EightBlocks& second, Units& units) const noexcept {
    const __m512i codes = has_three_thresholds_ ? pair_codes<3>(first, second) : pair_codes<2>(first, second);
    __m512i cuts = _mm512_shuffle_epi8(cuts_of_codes_, codes);
    __m512i lengths = _mm512_shuffle_epi8(lengths_of_codes_, codes);

    const __m512i low_bytes = _mm512_set1_epi16(0xFF);
    __m512i low_length = _mm512_and_si512(lengths, low_bytes);
    cuts = choose_low(cuts, low_bytes, _mm512_sllv_epi16(_mm512_srli_epi16(cuts, 8), low_length));
    lengths = _mm512_maddubs_epi16(lengths, _mm512_set1_epi8(1));

    const __m512i low_halfwords = _mm512_set1_epi32(0xFFFF);
    low_length = _mm512_and_si512(lengths, low_halfwords);
    cuts = choose_low(cuts, low_halfwords, _mm512_sllv_epi32(_mm512_srli_epi32(cuts, 16), low_length));
    lengths = _mm512_madd_epi16(lengths, _mm512_set1_epi16(1));

    const __m512i low_words = all_lanes(0xFFFFFFFFu);
    low_length = _mm512_and_si512(lengths, low_words);
    cuts = choose_low(cuts, low_words, _mm512_sllv_epi64(_mm512_srli_epi64(cuts, 32), low_length));
    lengths = _mm512_add_epi64(low_length, _mm512_srli_epi64(lengths, 32));

    const __m512i word = all_lanes(kWordBits);
    units.cuts.low = _mm512_or_si512(units.cuts.low, _mm512_sllv_epi64(cuts, units.count));
    units.cuts.high = or3(units.cuts.high, _mm512_sllv_epi64(cuts, _mm512_sub_epi64(units.count, word)),
                          _mm512_srlv_epi64(cuts, _mm512_sub_epi64(word, units.count)));
    units.count = _mm512_add_epi64(units.count, lengths);
  }

 private:
  static constexpr uint32_t kMostThresholds = 3;

  static __m512i or3(__m512i a, __m512i b, __m512i c) noexcept { return _mm512_ternarylogic_epi64(a, b, c, 0xFE); }

  // The bits of `a` that `low` names, and those of `b`.
  static __m512i choose_low(__m512i a, __m512i low, __m512i b) noexcept {
    return _mm512_ternarylogic_epi64(a, low, b, 0xEA);
  }

  // Byte k holds the codes of draws 2 k and 2 k + 1: how many thresholds each reaches.
  template <uint32_t kNumThresholds>
  __m512i pair_codes(const EightBlocks& first, const EightBlocks& second) const noexcept {
    const __m512i low = draw_codes<kNumThresholds>(pair(first.c0, second.c0), pair(first.c1, second.c1));
    const __m512i high = draw_codes<kNumThresholds>(pair(first.c2, second.c2), pair(first.c3, second.c3));
    const __m512i weights = _mm512_set1_epi32(0x00040001);
    return _mm512_or_si512(_mm512_madd_epi16(low, weights), _mm512_slli_epi32(_mm512_madd_epi16(high, weights), 16));
  }

  // The low words of two vectors' lanes side by side.
  static __m512i pair(__m512i low, __m512i high) noexcept {
    return _mm512_mask_shuffle_epi32(low, 0xAAAA, high, _MM_PERM_CCAA);
  }

  // The codes of draws `low` in the low byte of each halfword, those of `high` in its high byte.
  template <uint32_t kNumThresholds>
  __m512i draw_codes(__m512i low, __m512i high) const noexcept {
    const __m512i one = _mm512_set1_epi16(1);
    const __m512i high_one = _mm512_set1_epi16(0x100);
    __m512i codes = _mm512_maskz_mov_epi16(_mm512_cmpgt_epu16_mask(low, limits_[0]), one);
    codes = _mm512_mask_add_epi16(codes, _mm512_cmpgt_epu16_mask(high, limits_[0]), codes, high_one);
    for (uint32_t j = 1; j < kNumThresholds; ++j) {
      codes = _mm512_mask_add_epi16(codes, _mm512_cmpgt_epu16_mask(low, limits_[j]), codes, one);
      codes = _mm512_mask_add_epi16(codes, _mm512_cmpgt_epu16_mask(high, limits_[j]), codes, high_one);
    }
    return codes;
  }

  const bool has_three_thresholds_;
  __m512i limits_[kMostThresholds];  // one below each threshold; no draw is above 0xFFFF, which stands for none
  __m512i cuts_of_codes_;            // by two codes, in every 16 bytes
  __m512i lengths_of_codes_;
};

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_AVX512_PIECES_HPP_
