// SPDX-License-Identifier: Apache-2.0
// Eight rows of up to 128 bits, a row in each 64-bit lane of two vectors. Knows nothing of what the bits mean.
//
// Included by isa_avx512.cpp alone.
#ifndef MASKCORE_AVX512_BIT_LANES_HPP_
#define MASKCORE_AVX512_BIT_LANES_HPP_

#include <immintrin.h>

#include "bits.hpp"

namespace maskcore {
namespace {

constexpr int64_t kRowLanes = 8;

// One word of each row in memory.
struct alignas(64) RowLanes {
  uint64_t of[kRowLanes];

  uint64_t& operator[](int64_t row) noexcept { return of[row]; }
  uint64_t operator[](int64_t row) const noexcept { return of[row]; }

  __m512i load() const noexcept { return _mm512_load_si512(of); }
  void store(__m512i values) noexcept { _mm512_store_si512(of, values); }
};

inline __m512i all_lanes(uint64_t value) noexcept { return _mm512_set1_epi64(static_cast<long long>(value)); }
inline __m512i all_ones() noexcept { return _mm512_set1_epi64(-1); }

// The shifts of lanes take their counts as unsigned, so that 64 and more, and what is below 0, give zero.
struct BitLanes {
  __m512i low, high;

  // Every bit moves to the next token.
  BitLanes shift_up() const noexcept {
    return {_mm512_slli_epi64(low, 1), _mm512_or_si512(_mm512_slli_epi64(high, 1), _mm512_srli_epi64(low, 63))};
  }

  BitLanes operator&(const BitLanes& other) const noexcept {
    return {_mm512_and_si512(low, other.low), _mm512_and_si512(high, other.high)};
  }
  BitLanes operator|(const BitLanes& other) const noexcept {
    return {_mm512_or_si512(low, other.low), _mm512_or_si512(high, other.high)};
  }
  BitLanes without(const BitLanes& other) const noexcept {
    return {_mm512_andnot_si512(other.low, low), _mm512_andnot_si512(other.high, high)};
  }

  // Bit `places` of each row if the lowest bit of `one_bits` is set, which holds no other.
  static BitLanes at(__m512i places, __m512i one_bits) noexcept {
    return {_mm512_sllv_epi64(one_bits, places),
            _mm512_sllv_epi64(one_bits, _mm512_sub_epi64(places, all_lanes(kWordBits)))};
  }
};

// The first `counts` bits, up to 128.
inline BitLanes first_bits(__m512i counts) noexcept {
  const __m512i past = _mm512_subs_epu16(counts, all_lanes(kWordBits));
  return {_mm512_andnot_si512(_mm512_sllv_epi64(all_ones(), counts), all_ones()),
          _mm512_andnot_si512(_mm512_sllv_epi64(all_ones(), past), all_ones())};
}

// Words laid end to end, of which the first has `counts` bits, up to 64.
inline BitLanes join(const BitLanes& words, __m512i counts) noexcept {
  return {_mm512_or_si512(words.low, _mm512_sllv_epi64(words.high, counts)),
          _mm512_srlv_epi64(words.high, _mm512_sub_epi64(all_lanes(kWordBits), counts))};
}

// The bits behind the first `counts`, as `join` has put them there.
inline __m512i behind(const BitLanes& bits, __m512i counts) noexcept {
  return _mm512_or_si512(_mm512_srlv_epi64(bits.low, counts),
                         _mm512_sllv_epi64(bits.high, _mm512_sub_epi64(all_lanes(kWordBits), counts)));
}

inline __m512i count_ones(const BitLanes& bits) noexcept {
  return _mm512_add_epi64(_mm512_popcnt_epi64(bits.low), _mm512_popcnt_epi64(bits.high));
}

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_AVX512_BIT_LANES_HPP_
