// SPDX-License-Identifier: Apache-2.0
// The primitives for AVX2 with BMI2 (Haswell, Zen and later). As in isa_avx512.cpp, no standard header with code in it.
#include "isa.hpp"

#if MASKCORE_IS_X86_64
// For a build that gives no flags file by file (docs/tensorflow.md). Clang knows no such pragma.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx2,bmi,bmi2,lzcnt,popcnt")
#endif

#include <immintrin.h>

#include "batch.hpp"
#include "generic.hpp"

namespace maskcore {
namespace {

// Four blocks, one in each 64-bit lane; the high halves hold rubbish, which vpmuludq ignores.
struct FourBlocks {
  __m256i c0, c1, c2, c3;

  void start(__m256i first_words, const RowAddress& address) noexcept {
    c0 = first_words;
    c1 = _mm256_set1_epi32(static_cast<int>(address.row_id_low));
    c2 = _mm256_set1_epi32(static_cast<int>(address.row_id_high));
    c3 = _mm256_set1_epi32(static_cast<int>(address.epoch));
  }

  void round(__m256i k0, __m256i k1) noexcept {
    const __m256i product0 = _mm256_mul_epu32(c0, _mm256_set1_epi64x(kMultiplier0));
    const __m256i product1 = _mm256_mul_epu32(c2, _mm256_set1_epi64x(kMultiplier1));
    c0 = _mm256_xor_si256(_mm256_srli_epi64(product1, 32), _mm256_xor_si256(c1, k0));
    c1 = product1;
    c2 = _mm256_xor_si256(_mm256_srli_epi64(product0, 32), _mm256_xor_si256(c3, k1));
    c3 = product0;
  }

  __m256i low_pairs() const noexcept { return _mm256_blend_epi32(c0, _mm256_slli_epi64(c1, 32), 0xAA); }
  __m256i high_pairs() const noexcept { return _mm256_blend_epi32(c2, _mm256_slli_epi64(c3, 32), 0xAA); }

  // Stores the 16 words in order, where lanes hold blocks 0, 2, 1, 3.
  void store(uint32_t* words) const noexcept {
    const __m256i low = low_pairs();
    const __m256i high = high_pairs();
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words), _mm256_unpacklo_epi64(low, high));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words + 8), _mm256_unpackhi_epi64(low, high));
  }
};

constexpr int kPairs = kPanelBlocks / 8;  // two vectors at a time: more would not fit the sixteen registers

inline void all_rounds(const KeySchedule& keys, FourBlocks (&blocks)[2]) noexcept {
#pragma GCC unroll 10
  for (int round = 0; round < kNumRounds; ++round) {
    const __m256i k0 = _mm256_set1_epi32(static_cast<int>(keys.k0[round]));
    const __m256i k1 = _mm256_set1_epi32(static_cast<int>(keys.k1[round]));
    blocks[0].round(k0, k1);
    blocks[1].round(k0, k1);
  }
}

struct Avx2 {
  static constexpr uint32_t kFewDraws = 4;
  static constexpr bool kHasShortRows = false;
  using FirstPanels = GenericFirstPanels<Avx2>;

  static uint64_t deposit_bits(uint64_t bits, uint64_t mask) noexcept { return _pdep_u64(bits, mask); }
  static uint64_t select_one(uint64_t bits, uint32_t rank) noexcept { return _pdep_u64(uint64_t{1} << rank, bits); }
  static uint64_t extract_bits(uint64_t bits, uint64_t mask) noexcept { return _pext_u64(bits, mask); }

  static void philox_panel(const KeySchedule& keys, const Panel& panel, uint32_t* words) noexcept {
    const __m256i size = _mm256_set1_epi64x(panel.first_run_size);
    const __m256i first = _mm256_set1_epi64x(panel.first_run);
    const __m256i second = _mm256_sub_epi64(_mm256_set1_epi64x(panel.second_run), size);
    const __m256i lanes = _mm256_setr_epi64x(0, 2, 1, 3);
    for (int pair = 0; pair < kPairs; ++pair) {
      FourBlocks blocks[2];
      for (int b = 0; b < 2; ++b) {
        const __m256i index = _mm256_add_epi64(lanes, _mm256_set1_epi64x(8 * pair + 4 * b));
        const __m256i in_first = _mm256_cmpgt_epi64(size, index);
        blocks[b].start(_mm256_add_epi64(index, _mm256_blendv_epi8(second, first, in_first)), panel.address);
      }
      all_rounds(keys, blocks);
      for (int b = 0; b < 2; ++b) blocks[b].store(words + 32 * pair + 16 * b);
    }
  }

  static void philox_two_panels(const KeySchedule& keys, const Panel& panel0, const Panel& panel1, uint32_t* words0,
                                uint32_t* words1) noexcept {
    philox_panel(keys, panel0, words0);
    philox_panel(keys, panel1, words1);
  }

  static void draw_at(const KeySchedule& keys, Purpose purpose, const RowAddress& address, const uint32_t* at,
                      uint32_t* draws) noexcept {
    const __m256i counter = _mm256_set1_epi64x(block_counter(purpose, 0));
    for (int pair = 0; pair < kPairs; ++pair) {
      FourBlocks blocks[2];
      for (int b = 0; b < 2; ++b) {
        const __m256i position =
            _mm256_cvtepu32_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 8 * pair + 4 * b)));
        blocks[b].start(_mm256_or_si256(_mm256_srli_epi64(position, 2), counter), address);
      }
      all_rounds(keys, blocks);
      for (int b = 0; b < 2; ++b) {
        alignas(32) uint32_t low[8];
        alignas(32) uint32_t high[8];
        _mm256_store_si256(reinterpret_cast<__m256i*>(low), blocks[b].low_pairs());
        _mm256_store_si256(reinterpret_cast<__m256i*>(high), blocks[b].high_pairs());
        for (int lane = 0; lane < 4; ++lane) {
          const int k = 8 * pair + 4 * b + lane;
          const uint32_t* words = (at[k] & 2) != 0 ? high : low;
          draws[k] = words[2 * static_cast<uint32_t>(lane) + (at[k] & 1)];
        }
      }
    }
  }

  template <uint32_t kCount>
  static void draw_steps(const uint32_t* draws, uint32_t first_step, uint32_t num_candidates,
                         uint32_t* others) noexcept {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i step = _mm256_add_epi32(lanes, _mm256_set1_epi32(static_cast<int>(first_step)));
    __m256i bound = _mm256_sub_epi32(_mm256_set1_epi32(static_cast<int>(num_candidates)), step);
    const __m256i eight = _mm256_set1_epi32(8);
    for (uint32_t k = 0; k < kCount; k += 8) {
      const __m256i draw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(draws + k));
      const __m256i even = _mm256_mul_epu32(draw, bound);
      const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(draw, 32), _mm256_srli_epi64(bound, 32));
      const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(others + k), _mm256_add_epi32(step, high));
      step = _mm256_add_epi32(step, eight);
      bound = _mm256_sub_epi32(bound, eight);
    }
  }

  // Bit p: is draw p of `kPieces`, 8 or 16, at or above the threshold?
  template <uint32_t kPieces>
  static uint64_t reached_bits(const uint16_t* draws, uint16_t threshold) noexcept {
    __m128i bytes;
    if (kPieces == 8) {
      const __m128i lanes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(draws));
      const __m128i larger = _mm_max_epu16(lanes, _mm_set1_epi16(static_cast<short>(threshold)));
      bytes = _mm_packs_epi16(_mm_cmpeq_epi16(larger, lanes), _mm_setzero_si128());
    } else {
      const __m256i lanes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(draws));
      const __m256i larger = _mm256_max_epu16(lanes, _mm256_set1_epi16(static_cast<short>(threshold)));
      const __m256i is_reached = _mm256_cmpeq_epi16(larger, lanes);
      bytes = _mm_packs_epi16(_mm256_castsi256_si128(is_reached), _mm256_extracti128_si256(is_reached, 1));
    }
    return static_cast<uint32_t>(_mm_movemask_epi8(bytes));
  }

  static uint32_t cut_pieces(const LengthLaw& law, const uint16_t* draws, uint32_t num_draws, uint32_t unit,
                             uint32_t num_units, uint64_t* cuts) noexcept {
    return cut_pieces_by_extraction<Avx2>(law, draws, num_draws, unit, num_units, cuts);
  }

  static uint64_t nonzero_word(const uint8_t* flags) noexcept {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i low = _mm256_cmpeq_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(flags)), zero);
    const __m256i high = _mm256_cmpeq_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(flags + 32)), zero);
    return ~(uint64_t{static_cast<uint32_t>(_mm256_movemask_epi8(low))} |
             uint64_t{static_cast<uint32_t>(_mm256_movemask_epi8(high))} << 32);
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

  // Clears whole vectors; flags have room for that.
  static void clear_flags(uint8_t* flags, uint32_t length) noexcept {
    for (uint32_t first = 0; first < length; first += 32)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(flags + first), _mm256_setzero_si256());
  }

  static void expand_half(uint32_t half, uint8_t* flags) noexcept {
    const __m256i byte_of = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit_of = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201u));
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(half)), byte_of);
    const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit_of), bit_of);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(flags), _mm256_and_si256(is_set, _mm256_set1_epi8(1)));
  }

  static void expand_bits(const uint64_t* bits, uint32_t length, uint8_t* flags) noexcept {
    uint32_t first = 0;
    for (; first + 32 <= length; first += 32)
      expand_half(static_cast<uint32_t>(bits[first / kWordBits] >> (first % kWordBits)), flags + first);
    if (first < length) {
      uint8_t padded[32];
      expand_half(static_cast<uint32_t>(bits[first / kWordBits] >> (first % kWordBits)), padded);
      memcpy(flags + first, padded, length - first);
    }
  }

  // Eight bits at a time: pext packs the indices 0..7 of the set bits from a word of bytes.
  static uint32_t list_ones(const uint64_t* bits, uint32_t words, uint16_t* list) noexcept {
    uint16_t* end = list;
    for (uint32_t word = 0; word < words; ++word) {
      for (uint32_t byte = 0; byte < 8; ++byte) {
        const uint64_t eight = bits[word] >> (8 * byte) & 0xFF;
        const uint64_t spread = _pdep_u64(eight, 0x0101010101010101u) * 0xFF;
        const uint64_t indices = _pext_u64(0x0706050403020100u, spread);
        const __m128i base = _mm_set1_epi16(static_cast<short>(word * kWordBits + 8 * byte));
        const __m128i lanes = _mm_cvtepu8_epi16(_mm_cvtsi64_si128(static_cast<long long>(indices)));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(end), _mm_add_epi16(lanes, base));
        end += count_ones(eight);
      }
    }
    return static_cast<uint32_t>(end - list);
  }

  static uint32_t list_ones(const uint64_t* bits, uint32_t words, uint32_t* list) noexcept {
    return generic_list_ones(bits, words, list);
  }

  static void changed_bits(const int32_t* ids, uint32_t length, uint64_t* bits) noexcept {
    generic_changed_bits<Avx2>(ids, length, bits);
  }

  static void word_start_bits(const int32_t* ids, uint32_t length, uint64_t* bits) noexcept {
    generic_word_start_bits<Avx2>(ids, length, bits);
  }
};

}  // namespace

int32_t mask_row_range_avx2(const maskcore_call& call, int64_t first_row, int64_t stop_row) noexcept {
  return mask_row_range<Avx2>(call, first_row, stop_row);
}

}  // namespace maskcore

#endif  // MASKCORE_IS_X86_64
