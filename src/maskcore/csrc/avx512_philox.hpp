// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10 for AVX-512: sixteen blocks of one row or two, or a few of eight rows. What they decide is not known
// here.
//
// Included by isa_avx512.cpp alone.
#ifndef MASKCORE_AVX512_PHILOX_HPP_
#define MASKCORE_AVX512_PHILOX_HPP_

#include <immintrin.h>

#include "philox.hpp"

namespace maskcore {
namespace {

// Eight blocks, one in each 64-bit lane; the high halves hold rubbish, which vpmuludq ignores.
struct EightBlocks {
  __m512i c0, c1, c2, c3;

  void start(__m512i first_words, const RowAddress& address) noexcept {
    c0 = first_words;
    c1 = _mm512_set1_epi32(static_cast<int>(address.row_id_low));
    c2 = _mm512_set1_epi32(static_cast<int>(address.row_id_high));
    c3 = _mm512_set1_epi32(static_cast<int>(address.epoch));
  }

  void round(__m512i k0, __m512i k1) noexcept {
    constexpr int kXor3 = 0x96;
    const __m512i product0 = _mm512_mul_epu32(c0, _mm512_set1_epi64(kMultiplier0));
    const __m512i product1 = _mm512_mul_epu32(c2, _mm512_set1_epi64(kMultiplier1));
    c0 = _mm512_ternarylogic_epi32(_mm512_srli_epi64(product1, 32), c1, k0, kXor3);
    c1 = product1;
    c2 = _mm512_ternarylogic_epi32(_mm512_srli_epi64(product0, 32), c3, k1, kXor3);
    c3 = product0;
  }

  // Stores the 32 words in order, where lane 2 q + h holds block 4 h + q.
  void store(uint32_t* words) const noexcept {
    constexpr __mmask16 kOdd = 0xAAAA;
    const __m512i low = _mm512_mask_shuffle_epi32(c0, kOdd, c1, _MM_PERM_CCAA);
    const __m512i high = _mm512_mask_shuffle_epi32(c2, kOdd, c3, _MM_PERM_CCAA);
    _mm512_storeu_si512(words, _mm512_unpacklo_epi64(low, high));
    _mm512_storeu_si512(words + 16, _mm512_unpackhi_epi64(low, high));
  }

  // The word of each lane that `selector` names, 0 to 3.
  __m256i select(__m512i selector) const noexcept {
    __m512i chosen = c0;
    chosen = _mm512_mask_mov_epi64(chosen, _mm512_cmpeq_epi64_mask(selector, _mm512_set1_epi64(1)), c1);
    chosen = _mm512_mask_mov_epi64(chosen, _mm512_cmpeq_epi64_mask(selector, _mm512_set1_epi64(2)), c2);
    chosen = _mm512_mask_mov_epi64(chosen, _mm512_cmpeq_epi64_mask(selector, _mm512_set1_epi64(3)), c3);
    return _mm512_cvtepi64_epi32(chosen);
  }
};

// Inlined, since through a reference the state would be written back after every round: for all that a compiler knows,
// the keys might lie there.
template <int kFirstRound = 0, int kNum>
__attribute__((always_inline)) inline void all_rounds(const KeySchedule& keys, EightBlocks (&blocks)[kNum]) noexcept {
#pragma GCC unroll 10
  for (int round = kFirstRound; round < kNumRounds; ++round) {
    const __m512i k0 = _mm512_set1_epi32(static_cast<int>(keys.k0[round]));
    const __m512i k1 = _mm512_set1_epi32(static_cast<int>(keys.k1[round]));
#pragma GCC unroll 4
    for (int b = 0; b < kNum; ++b) blocks[b].round(k0, k1);
  }
}

inline void start_panel(const Panel& panel, EightBlocks* blocks) noexcept {
  const __m512i size = _mm512_set1_epi64(panel.first_run_size);
  const __m512i first = _mm512_set1_epi64(panel.first_run);
  const __m512i second = _mm512_sub_epi64(_mm512_set1_epi64(panel.second_run), size);
  const __m512i lanes = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
  for (int half = 0; half < 2; ++half) {
    const __m512i index = _mm512_add_epi64(lanes, _mm512_set1_epi64(8 * half));
    const __mmask8 in_first = _mm512_cmplt_epu64_mask(index, size);
    blocks[half].start(_mm512_add_epi64(index, _mm512_mask_mov_epi64(second, in_first, first)), panel.address);
  }
}

inline __m512i broadcast(uint32_t word) noexcept { return _mm512_set1_epi32(static_cast<int>(word)); }

// Panels of the same blocks for many rows. Of the first two rounds only half depends on the block, the other half on
// the row; each half is worked out once.
class FirstPanels {
 public:
  FirstPanels(const KeySchedule& keys, const Panel& panel) noexcept : keys_(keys) {
    EightBlocks blocks[2];
    start_panel(panel, blocks);
    for (int b = 0; b < 2; ++b) {
      const __m512i product0 = _mm512_mul_epu32(blocks[b].c0, _mm512_set1_epi64(kMultiplier0));
      high_[b] = _mm512_xor_si512(_mm512_srli_epi64(product0, 32), broadcast(keys.k1[0]));
      low_[b] = _mm512_xor_si512(product0, broadcast(keys.k1[1]));
    }
  }

  void draw(const RowAddress& address, uint32_t* words) const noexcept {
    EightBlocks blocks[2];
    start_third_round(address, blocks);
    all_rounds<2>(keys_, blocks);
    for (int b = 0; b < 2; ++b) blocks[b].store(words + 32 * b);
  }

  void draw_two(const RowAddress& address0, const RowAddress& address1, uint32_t* words0,
                uint32_t* words1) const noexcept {
    EightBlocks blocks[4];
    start_third_round(address0, blocks);
    start_third_round(address1, blocks + 2);
    all_rounds<2>(keys_, blocks);
    for (int b = 0; b < 2; ++b) blocks[b].store(words0 + 32 * b);
    for (int b = 0; b < 2; ++b) blocks[2 + b].store(words1 + 32 * b);
  }

 private:
  void start_third_round(const RowAddress& address, EightBlocks* blocks) const noexcept {
    const uint64_t first1 = uint64_t{address.row_id_high} * kMultiplier1;
    const uint32_t first_c0 = static_cast<uint32_t>(first1 >> 32) ^ address.row_id_low ^ keys_.k0[0];
    const uint64_t second0 = uint64_t{first_c0} * kMultiplier0;
    const __m512i epoch = broadcast(address.epoch);
    const __m512i c0 = broadcast(static_cast<uint32_t>(first1) ^ keys_.k0[1]);
    const __m512i c2 = broadcast(static_cast<uint32_t>(second0 >> 32));
    const __m512i c3 = broadcast(static_cast<uint32_t>(second0));
    for (int b = 0; b < 2; ++b) {
      const __m512i product1 = _mm512_mul_epu32(_mm512_xor_si512(high_[b], epoch), _mm512_set1_epi64(kMultiplier1));
      blocks[b].c0 = _mm512_xor_si512(_mm512_srli_epi64(product1, 32), c0);
      blocks[b].c1 = product1;
      blocks[b].c2 = _mm512_xor_si512(low_[b], c2);
      blocks[b].c3 = c3;
    }
  }

  const KeySchedule& keys_;
  __m512i high_[2];  // of the first round's product of c0, with its key
  __m512i low_[2];   // the same, with the second round's key
};

// The same blocks of eight rows, one row in each 64-bit lane.
class EightRowBlocks {
 public:
  EightRowBlocks(const KeySchedule& keys, __m512i row_ids, __m512i epochs) noexcept : keys_(keys), epochs_(epochs) {
    // As in FirstPanels: what the first two rounds make of the row alone.
    const __m512i first1 = _mm512_mul_epu32(_mm512_srli_epi64(row_ids, 32), _mm512_set1_epi64(kMultiplier1));
    const __m512i first_c0 =
        _mm512_xor_si512(_mm512_xor_si512(_mm512_srli_epi64(first1, 32), row_ids), broadcast(keys.k0[0]));
    const __m512i second0 = _mm512_mul_epu32(first_c0, _mm512_set1_epi64(kMultiplier0));
    c0_ = _mm512_xor_si512(first1, broadcast(keys.k0[1]));
    c2_ = _mm512_srli_epi64(second0, 32);
    c3_ = second0;
  }

  // Blocks `first_counter` and those that follow.
  template <int kNum>
  void draw(uint32_t first_counter, EightBlocks (&drawn)[kNum]) const noexcept {
    EightBlocks blocks[kNum];  // for the same reason not `drawn` itself
#pragma GCC unroll 4
    for (int b = 0; b < kNum; ++b) {
      const uint64_t product0 = (uint64_t{first_counter} + static_cast<uint64_t>(b)) * kMultiplier0;
      const __m512i second_c2 =
          _mm512_xor_si512(broadcast(static_cast<uint32_t>(product0 >> 32) ^ keys_.k1[0]), epochs_);
      const __m512i second1 = _mm512_mul_epu32(second_c2, _mm512_set1_epi64(kMultiplier1));
      blocks[b].c0 = _mm512_xor_si512(_mm512_srli_epi64(second1, 32), c0_);
      blocks[b].c1 = second1;
      blocks[b].c2 = _mm512_xor_si512(c2_, broadcast(static_cast<uint32_t>(product0) ^ keys_.k1[1]));
      blocks[b].c3 = c3_;
    }
    all_rounds<2>(keys_, blocks);
#pragma GCC unroll 4
    for (int b = 0; b < kNum; ++b) drawn[b] = blocks[b];
  }

 private:
  const KeySchedule& keys_;
  const __m512i epochs_;
  __m512i c0_, c2_, c3_;  // the rows' part of the third round's counter
};

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_AVX512_PHILOX_HPP_
