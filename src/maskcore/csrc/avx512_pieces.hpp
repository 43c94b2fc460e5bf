// SPDX-License-Identifier: Apache-2.0
// Cuts of eight rows from their draws, for laws whose longest piece has at most sixteen units: docs/algorithm.md,
// section 4.3. Knows nothing of where the draws come from.
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

class PieceCutter {
 public:
  // Cuts so far, and how many units they are for. It has no initialisers: the constructor that GCC would make of them
  // is outside of its pragma for AVX-512, and does not compile where no flags are given file by file.
  struct Units {
    BitLanes cuts;
    __m512i count;
  };

  PieceCutter(const LengthLaw& law, uint32_t row_length) noexcept
      : way_(way_for(law)),
        num_thresholds_(law.num_thresholds),
        shortest_(_mm512_set1_epi16(static_cast<short>(law.shortest))) {
    const __m512i zero = _mm512_setzero_si512();
    start_ = {{zero, zero}, zero};
    if (way_ == Way::kNoDraws) cut_evenly(law.shortest);
    if (way_ == Way::kNone || way_ == Way::kNoDraws) return;
    // Where lengths vary more, so do their sums.
    const uint32_t num_pieces = law.num_pieces(row_length);
    num_appends_ = (num_pieces + (way_ == Way::kLong ? num_pieces / 4 : 0) + kPieces - 1) / kPieces;
    for (uint32_t j = 0; j < kMostThresholds; ++j)
      limits_[j] = _mm512_set1_epi16(static_cast<short>(j < num_thresholds_ ? law.thresholds[j] - 1 : 0xFFFF));
    if (way_ != Way::kLong) make_tables(law.shortest);
  }

  bool can_cut() const noexcept { return way_ != Way::kNone; }

  // How many times a row appends at most, but hardly ever.
  uint32_t num_appends() const noexcept { return num_appends_; }

  const Units& start() const noexcept { return start_; }

  // Sixteen pieces of each row, from the draws of two blocks.
  void append(const EightBlocks& first, const EightBlocks& second, Units& units) const noexcept {
    // Vector k holds draws 2 k, 2 k + 1, 2 k + 8 and 2 k + 9 of each row.
    const __m512i draws[4] = {pair(first.c0, second.c0), pair(first.c1, second.c1), pair(first.c2, second.c2),
                              pair(first.c3, second.c3)};
    if (way_ == Way::kTwoThresholds)
      append_short<2>(draws, units);
    else if (way_ == Way::kThreeThresholds)
      append_short<3>(draws, units);
    else
      append_long(draws, units);
  }

 private:
  static constexpr uint32_t kPieces = 16;
  static constexpr uint32_t kLongestPiece = 16;  // four of them fill a lane
  static constexpr uint32_t kMostThresholds = kLongestPiece - 1;

  enum class Way { kNone, kNoDraws, kTwoThresholds, kThreeThresholds, kLong };

  static Way way_for(const LengthLaw& law) noexcept {
    if (law.num_thresholds == 0) return Way::kNoDraws;
    const uint32_t longest = law.shortest + law.num_thresholds;
    if (longest > kLongestPiece) return Way::kNone;
    if (longest > 4) return Way::kLong;
    return law.num_thresholds == 3 ? Way::kThreeThresholds : Way::kTwoThresholds;
  }

  // The low words of two vectors' lanes side by side.
  static __m512i pair(__m512i low, __m512i high) noexcept {
    return _mm512_mask_shuffle_epi32(low, 0xAAAA, high, _MM_PERM_CCAA);
  }

  // The cuts of a law that has one length only.
  void cut_evenly(uint32_t length) noexcept {
    uint64_t cuts[2] = {0, 0};
    for (uint32_t unit = 0; unit < 2 * kWordBits; unit += length) set_bit(cuts, unit);
    start_ = {{all_lanes(cuts[0]), all_lanes(cuts[1])}, all_lanes(2 * kWordBits)};
  }

  // For pieces of up to four units: how many thresholds a draw reaches is a code of two bits, a table turns two codes
  // into a byte of cuts, and neighbours are shifted together until sixteen pieces fill a lane.
  template <uint32_t kNumThresholds>
  void append_short(const __m512i (&draws)[4], Units& units) const noexcept {
    const __m512i weights = _mm512_set1_epi32(0x00040001);
    const __m512i low_codes = _mm512_madd_epi16(draw_codes<kNumThresholds>(draws[0], draws[1]), weights);
    const __m512i high_codes = _mm512_madd_epi16(draw_codes<kNumThresholds>(draws[2], draws[3]), weights);
    const __m512i codes = _mm512_or_si512(low_codes, _mm512_slli_epi32(high_codes, 16));
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
    append_lane(cuts, _mm512_add_epi64(low_length, _mm512_srli_epi64(lengths, 32)), units);
  }

  // In each halfword the code of draw `low`, and in its high byte that of draw `high`.
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

  void make_tables(uint32_t shortest) noexcept {
    alignas(16) uint8_t cuts[16];
    alignas(16) uint8_t lengths[16];
    for (uint32_t codes = 0; codes < 16; ++codes) {
      const uint32_t first = shortest + codes % 4;
      cuts[codes] = static_cast<uint8_t>(1 | 1 << first % 8);
      lengths[codes] = static_cast<uint8_t>(first + shortest + codes / 4);
    }
    cuts_of_codes_ = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(cuts)));
    lengths_of_codes_ = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(lengths)));
  }

  // For longer pieces: two share a word, four a lane.
  void append_long(const __m512i (&draws)[4], Units& units) const noexcept {
    __m512i cuts[4], lengths[4];
    for (uint32_t k = 0; k < 4; ++k) {
      __m512i length = shortest_;
      for (uint32_t j = 0; j < num_thresholds_; ++j)
        length =
            _mm512_mask_add_epi16(length, _mm512_cmpgt_epu16_mask(draws[k], limits_[j]), length, _mm512_set1_epi16(1));
      const __m512i one = _mm512_set1_epi32(1);
      const __m512i first_length = _mm512_and_si512(length, _mm512_set1_epi32(0xFFFF));
      cuts[k] = _mm512_or_si512(one, _mm512_sllv_epi32(one, first_length));
      lengths[k] = _mm512_madd_epi16(length, _mm512_set1_epi16(1));
    }
    const __m512i low_words = all_lanes(0xFFFFFFFFu);
    for (uint32_t k = 0; k < 4; k += 2)
      append_two(_mm512_and_si512(cuts[k], low_words), _mm512_and_si512(lengths[k], low_words),
                 _mm512_and_si512(cuts[k + 1], low_words), _mm512_and_si512(lengths[k + 1], low_words), units);
    for (uint32_t k = 0; k < 4; k += 2)
      append_two(_mm512_srli_epi64(cuts[k], 32), _mm512_srli_epi64(lengths[k], 32), _mm512_srli_epi64(cuts[k + 1], 32),
                 _mm512_srli_epi64(lengths[k + 1], 32), units);
  }

  static void append_two(__m512i cuts0, __m512i length0, __m512i cuts1, __m512i length1, Units& units) noexcept {
    append_lane(_mm512_or_si512(cuts0, _mm512_sllv_epi64(cuts1, length0)), _mm512_add_epi64(length0, length1), units);
  }

  static void append_lane(__m512i cuts, __m512i length, Units& units) noexcept {
    const __m512i word = all_lanes(kWordBits);
    units.cuts.low = _mm512_or_si512(units.cuts.low, _mm512_sllv_epi64(cuts, units.count));
    units.cuts.high = or3(units.cuts.high, _mm512_sllv_epi64(cuts, _mm512_sub_epi64(units.count, word)),
                          _mm512_srlv_epi64(cuts, _mm512_sub_epi64(word, units.count)));
    units.count = _mm512_add_epi64(units.count, length);
  }

  static __m512i or3(__m512i a, __m512i b, __m512i c) noexcept { return _mm512_ternarylogic_epi64(a, b, c, 0xFE); }

  // The bits of `a` that `low` names, and those of `b`.
  static __m512i choose_low(__m512i a, __m512i low, __m512i b) noexcept {
    return _mm512_ternarylogic_epi64(a, low, b, 0xEA);
  }

  const Way way_;
  const uint32_t num_thresholds_;
  uint32_t num_appends_ = 0;
  const __m512i shortest_;
  __m512i limits_[kMostThresholds];  // one below each threshold; no draw is above 0xFFFF, which stands for none
  __m512i cuts_of_codes_;            // by two codes, in every 16 bytes
  __m512i lengths_of_codes_;
  Units start_;
};

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_AVX512_PIECES_HPP_
