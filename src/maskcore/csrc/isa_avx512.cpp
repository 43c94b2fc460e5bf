// SPDX-License-Identifier: Apache-2.0
// The primitives for AVX-512 with VBMI2 and VPOPCNTDQ (Ice Lake, Zen 4 and later). No standard header with code in it
// may be included here: its inline functions would be compiled for AVX-512 and could be linked into the rest.

// GCC's own avx512fintrin.h reads variables it leaves undefined on purpose (GCC bug 105593, fixed in 13).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "isa.hpp"

#if MASKCORE_IS_X86_64
// For a build that gives no flags file by file (docs/tensorflow.md). Clang knows no such pragma.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC target( \
    "avx2,bmi,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,avx512vpopcntdq")
#endif

#include <immintrin.h>

#include "avx512_philox.hpp"
#include "avx512_short_rows.hpp"
#include "batch.hpp"
#include "generic.hpp"

namespace maskcore {
namespace {

struct Avx512 {
  static constexpr uint32_t kFewDraws = 0;
  using FirstPanels = maskcore::FirstPanels;
  static constexpr bool kHasShortRows = true;
  template <uint32_t kWords>
  using ShortRows = maskcore::ShortRows<kWords == 1 ? 1 : 2>;

  static uint64_t deposit_bits(uint64_t bits, uint64_t mask) noexcept { return _pdep_u64(bits, mask); }
  static uint64_t select_one(uint64_t bits, uint32_t rank) noexcept { return _pdep_u64(uint64_t{1} << rank, bits); }
  static uint64_t extract_bits(uint64_t bits, uint64_t mask) noexcept { return _pext_u64(bits, mask); }

  static void philox_panel(const KeySchedule& keys, const Panel& panel, uint32_t* words) noexcept {
    EightBlocks blocks[2];
    start_panel(panel, blocks);
    all_rounds(keys, blocks);
    for (int b = 0; b < 2; ++b) blocks[b].store(words + 32 * b);
  }

  static void draw_at(const KeySchedule& keys, Purpose purpose, const RowAddress& address, const uint32_t* at,
                      uint32_t* draws) noexcept {
    EightBlocks blocks[2];
    __m512i selectors[2];
    for (int half = 0; half < 2; ++half) {
      const __m512i position =
          _mm512_cvtepu32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 8 * half)));
      selectors[half] = _mm512_and_epi64(position, _mm512_set1_epi64(3));
      const __m512i counter = _mm512_set1_epi64(block_counter(purpose, 0));
      blocks[half].start(_mm512_or_epi64(_mm512_srli_epi64(position, 2), counter), address);
    }
    all_rounds(keys, blocks);
    for (int half = 0; half < 2; ++half)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(draws + 8 * half), blocks[half].select(selectors[half]));
  }

  template <uint32_t kCount>
  static void draw_steps(const uint32_t* draws, uint32_t first_step, uint32_t num_candidates,
                         uint32_t* others) noexcept {
    constexpr __mmask16 kOdd = 0xAAAA;
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i step = _mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<int>(first_step)));
    __m512i bound = _mm512_max_epi32(_mm512_sub_epi32(_mm512_set1_epi32(static_cast<int>(num_candidates)), step),
                                     _mm512_setzero_si512());
    const __m512i sixteen = _mm512_set1_epi32(16);
    const __m512i zero = _mm512_setzero_si512();
    for (uint32_t k = 0; k < kCount; k += 16) {
      const __m512i draw = _mm512_loadu_si512(draws + k);
      const __m512i even = _mm512_mul_epu32(draw, bound);
      const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(draw, 32), _mm512_srli_epi64(bound, 32));
      const __m512i high = _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), kOdd, odd);
      _mm512_storeu_si512(others + k, _mm512_add_epi32(step, high));
      step = _mm512_add_epi32(step, sixteen);
      bound = _mm512_max_epi32(_mm512_sub_epi32(bound, sixteen), zero);
    }
  }

  // Bit p: is draw p of `kPieces`, 8 or 16, at or above the threshold?
  template <uint32_t kPieces>
  static uint64_t reached_bits(const uint16_t* draws, uint16_t threshold) noexcept {
    const short limit = static_cast<short>(threshold);
    if (kPieces == 8)
      return _mm_cmpge_epu16_mask(_mm_loadu_si128(reinterpret_cast<const __m128i*>(draws)), _mm_set1_epi16(limit));
    return _mm256_cmpge_epu16_mask(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(draws)),
                                   _mm256_set1_epi16(limit));
  }

  static uint32_t cut_pieces(const LengthLaw& law, const uint16_t* draws, uint32_t num_draws, uint32_t unit,
                             uint32_t num_units, uint64_t* cuts) noexcept {
    return cut_pieces_by_extraction<Avx512>(law, draws, num_draws, unit, num_units, cuts);
  }

  static void nonzero_bits(const uint8_t* flags, uint32_t length, uint64_t* bits) noexcept {
    uint32_t first = 0;
    for (; first + kWordBits <= length; first += kWordBits) {
      const __m512i lanes = _mm512_loadu_si512(flags + first);
      bits[first / kWordBits] = _mm512_test_epi8_mask(lanes, lanes);
    }
    if (first < length) {
      const __m512i lanes = _mm512_maskz_loadu_epi8(~uint64_t{0} >> (kWordBits - (length - first)), flags + first);
      bits[first / kWordBits] = _mm512_test_epi8_mask(lanes, lanes);
    }
  }

  // Clears whole vectors; flags have room for that.
  static void clear_flags(uint8_t* flags, uint32_t length) noexcept {
    for (uint32_t first = 0; first < length; first += kWordBits)
      _mm512_storeu_si512(flags + first, _mm512_setzero_si512());
  }

  static void expand_bits(const uint64_t* bits, uint32_t length, uint8_t* flags) noexcept {
    const __m512i ones = _mm512_set1_epi8(1);
    uint32_t first = 0;
    for (; first + kWordBits <= length; first += kWordBits)
      _mm512_storeu_si512(flags + first, _mm512_maskz_mov_epi8(bits[first / kWordBits], ones));
    if (first < length)
      _mm512_mask_storeu_epi8(flags + first, ~uint64_t{0} >> (kWordBits - (length - first)),
                              _mm512_maskz_mov_epi8(bits[first / kWordBits], ones));
  }

  static uint32_t list_ones(const uint64_t* bits, uint32_t words, uint16_t* list) noexcept {
    uint16_t* end = list;
    __m512i index = _mm512_set_epi16(31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11,
                                     10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i step = _mm512_set1_epi16(32);
    for (uint32_t word = 0; word < words; ++word) {
      const __mmask32 low = static_cast<__mmask32>(bits[word]);
      const __mmask32 high = static_cast<__mmask32>(bits[word] >> 32);
      _mm512_storeu_si512(end, _mm512_maskz_compress_epi16(low, index));
      end += count_ones(low);
      index = _mm512_add_epi16(index, step);
      _mm512_storeu_si512(end, _mm512_maskz_compress_epi16(high, index));
      end += count_ones(high);
      index = _mm512_add_epi16(index, step);
    }
    return static_cast<uint32_t>(end - list);
  }

  static uint32_t list_ones(const uint64_t* bits, uint32_t words, uint32_t* list) noexcept {
    return generic_list_ones(bits, words, list);
  }

  static void changed_bits(const int32_t* ids, uint32_t length, uint64_t* bits) noexcept {
    generic_changed_bits<Avx512>(ids, length, bits);
  }

  static void word_start_bits(const int32_t* ids, uint32_t length, uint64_t* bits) noexcept {
    generic_word_start_bits<Avx512>(ids, length, bits);
  }
};

}  // namespace

int32_t mask_row_range_avx512(const maskcore_call& call, int64_t first_row, int64_t stop_row) noexcept {
  return mask_row_range<Avx512>(call, first_row, stop_row);
}

}  // namespace maskcore

#endif  // MASKCORE_IS_X86_64
