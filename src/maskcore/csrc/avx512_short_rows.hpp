// SPDX-License-Identifier: Apache-2.0
// Rows of at most 128 tokens without words for AVX-512: the same choice as RowKernel::choose_spans, without a branch
// that depends on a draw. All the steps that a row may need are shuffled, spans known by their numbers in tables of
// bytes; then one prefix sum of the lengths tells where the budget ends.
//
// Included by isa_avx512.cpp alone.
#ifndef MASKCORE_AVX512_SHORT_ROWS_HPP_
#define MASKCORE_AVX512_SHORT_ROWS_HPP_

#include <immintrin.h>

#include "row_kernel.hpp"

namespace maskcore {
namespace {

// Tables by number of candidate. The first two have a vector of room, since their second vector begins where the first
// one's candidates end.
struct alignas(64) ShortRow {
  static constexpr uint32_t kMostTokens = 128;
  static constexpr uint32_t kMostSteps = 32;  // one vector of bytes in the prefix sum
  __extension__ typedef unsigned __int128 TokenBits;

  uint8_t starts[192];
  uint8_t stops[192];
  uint8_t order[128];   // numbers of candidates, the anchor's first
  uint8_t ranks[128];   // where in that order; 255 for the anchor's and for those that were not shuffled
  uint32_t others[32];  // with which place each step exchanges its own

  // RowKernel::prepare_row from its candidates on.
  template <class Isa, class Position>
  Prepared prepare(const Scratch<Position>& s, uint32_t words, uint32_t num_eligible, const uint32_t* draws) noexcept {
    const uint32_t num_candidates0 = count_ones(s.span_starts[0]);
    const uint32_t num_candidates = num_candidates0 + (words == 2 ? count_ones(s.span_starts[1]) : 0);
    list_spans(s.span_starts, s.span_stops, num_candidates0, words);
    Isa::template draw_steps<kMostSteps>(draws, 0, num_candidates, others);

    const uint32_t num_eligible0 = count_ones(s.eligible[0]);
    const uint32_t rank = mulhi(draws[0], num_eligible);
    const bool in_second = rank >= num_eligible0;
    const uint64_t one = Isa::select_one(s.eligible[in_second], rank - (in_second ? num_eligible0 : 0));
    const uint64_t upto = one | (one - 1);
    const uint32_t candidate = count_ones(s.span_starts[in_second] & upto) + (in_second ? num_candidates0 : 0) - 1;
    const uint32_t anchor = lowest_one(one) + in_second * kWordBits;
    order[0] = static_cast<uint8_t>(candidate);
    order[candidate] = 0;
    return {num_candidates, candidate, anchor, stops[candidate] - anchor};
  }

  // A row of which nothing is masked: `shuffle` goes through it, too.
  void leave() noexcept {
    memset(order, 0, sizeof(order));
    memset(others, 0, sizeof(others));
  }

  // Section 5.2 of docs/algorithm.md up to step `num_steps`; steps past the last candidate exchange nothing. The steps
  // of one row wait for each other, those of several rows do not.
  //
  // For all rows of a group before the first is masked: `mask` reads as vectors what is written here byte by byte,
  // which would wait until it has left the store buffer.
  template <uint32_t kRows>
  static void shuffle(ShortRow* const (&rows)[kRows], uint32_t num_steps) noexcept {
    for (uint32_t step = 1; step < num_steps; ++step) {
#pragma GCC unroll 4
      for (ShortRow* row : rows) {
        const uint32_t other = row->others[step];
        const uint8_t candidate = row->order[other];
        row->order[other] = row->order[step];
        row->order[step] = candidate;
        row->ranks[candidate] = static_cast<uint8_t>(step);
      }
    }
  }

  // RowKernel::mask_row; false for a row that takes more than `num_steps` steps.
  template <class Position>
  bool mask(const Scratch<Position>& s, uint32_t words, const Prepared& row, uint32_t num_steps,
            uint32_t budget) const noexcept {
    uint8_t sums[kMostSteps + 1];
    const uint32_t num_whole = count_whole_spans(row, num_steps, budget, sums);
    if (__builtin_expect(num_whole >= num_steps, 0)) return false;
    const uint32_t last_start = num_whole == 0 ? row.tail : starts[order[num_whole]];
    const uint32_t last_length = budget - sums[num_whole];
    const TokenBits chosen = chosen_starts(num_whole, s.span_starts, words) | TokenBits{num_whole != 0} << row.tail;
    // As in RowKernel::mask_chosen.
    const TokenBits continues =
        ~(TokenBits{words == 2 ? s.span_stops[1] : ~uint64_t{0}} << kWordBits | s.span_stops[0]);
    const TokenBits masked = chosen | (continues & ~(continues + (chosen << 1))) |
                             ~TokenBits{0} >> (kMostTokens - last_length) << last_start;
    s.masked[0] = static_cast<uint64_t>(masked);
    s.masked[1] = static_cast<uint64_t>(masked >> kWordBits);
    s.masked[2] = 0;
    return true;
  }

  // The same row as RowKernel::prepare_row leaves a long one.
  template <class Isa, class Position>
  Prepared prepare_as_long(const Scratch<Position>& s, uint32_t row_length, const Prepared& row) const noexcept {
    Isa::list_ones(s.span_starts, num_words(row_length), s.candidates);
    const uint32_t head = s.candidates[row.head];
    s.candidates[row.head] = s.candidates[0];
    memcpy(s.others, others, sizeof(others));
    Isa::clear_flags(s.flags, row_length);
    return {row.num_candidates, head, row.tail, 0};
  }

 private:
  void list_spans(const uint64_t* span_starts, const uint64_t* span_stops, uint32_t num0, uint32_t words) noexcept {
    const __m512i iota =
        _mm512_set_epi8(63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40,
                        39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16,
                        15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i second = _mm512_add_epi8(iota, _mm512_set1_epi8(64));
    const __m512i one = _mm512_set1_epi8(1);
    // A span's last token is eligible, and the next one is a stop; of tokens that are stops themselves only starts are.
    const uint64_t stops0 = span_stops[0] >> 1 | span_stops[1] << 63;
    const uint64_t lasts0 = stops0 & ~(span_stops[0] & ~span_starts[0]);
    _mm512_storeu_si512(starts, _mm512_maskz_compress_epi8(span_starts[0], iota));
    _mm512_storeu_si512(stops, _mm512_maskz_compress_epi8(lasts0, _mm512_add_epi8(iota, one)));
    if (words == 2) {
      const uint64_t stops1 = span_stops[1] >> 1 | span_stops[2] << 63;
      const uint64_t lasts1 = stops1 & ~(span_stops[1] & ~span_starts[1]);
      _mm512_storeu_si512(starts + num0, _mm512_maskz_compress_epi8(span_starts[1], second));
      _mm512_storeu_si512(stops + count_ones(lasts0), _mm512_maskz_compress_epi8(lasts1, _mm512_add_epi8(second, one)));
      _mm512_store_si512(order + 64, second);
      _mm512_store_si512(ranks + 64, _mm512_set1_epi8(-1));
    }
    _mm512_store_si512(order, iota);
    _mm512_store_si512(ranks, _mm512_set1_epi8(-1));
  }

  // The first `num_steps` spans' tokens summed up in their order, the anchor's from the anchor on; returns how many
  // of these sums are below the budget. `sums[k]` is the sum of the first k.
  uint32_t count_whole_spans(const Prepared& row, uint32_t num_steps, uint32_t budget, uint8_t* sums) const noexcept {
    const __m512i numbers = _mm512_castsi256_si512(_mm256_load_si256(reinterpret_cast<const __m256i*>(order)));
    const __m512i low = _mm512_sub_epi8(_mm512_load_si512(stops), _mm512_load_si512(starts));
    const __m512i high = _mm512_sub_epi8(_mm512_load_si512(stops + 64), _mm512_load_si512(starts + 64));
    const uint32_t num_known = num_steps < row.num_candidates ? num_steps : row.num_candidates;
    const __mmask32 known = static_cast<__mmask32>((uint64_t{1} << num_known) - 1);
    __m256i sum = _mm512_castsi512_si256(_mm512_permutex2var_epi8(low, numbers, high));
    sum = _mm256_maskz_mov_epi8(known, sum);
    sum = _mm256_mask_mov_epi8(sum, 1, _mm256_set1_epi8(static_cast<char>(row.tail_length)));
    sum = _mm256_add_epi8(sum, _mm256_bslli_epi128(sum, 1));
    sum = _mm256_add_epi8(sum, _mm256_bslli_epi128(sum, 2));
    sum = _mm256_add_epi8(sum, _mm256_bslli_epi128(sum, 4));
    sum = _mm256_add_epi8(sum, _mm256_bslli_epi128(sum, 8));
    sum = _mm256_add_epi8(sum, _mm256_maskz_permutexvar_epi8(0xFFFF0000u, _mm256_set1_epi8(15), sum));
    sums[0] = 0;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + 1), sum);
    return count_ones(_mm256_cmplt_epu8_mask(sum, _mm256_set1_epi8(static_cast<char>(budget))));
  }

  // The starts of the candidates whose rank is below `num_spans`, as bits of tokens.
  TokenBits chosen_starts(uint32_t num_spans, const uint64_t* span_starts, uint32_t words) const noexcept {
    const __m512i limit = _mm512_set1_epi8(static_cast<char>(num_spans));
    const uint64_t low = _mm512_cmplt_epu8_mask(_mm512_load_si512(ranks), limit);
    const uint64_t chosen0 = _pdep_u64(low, span_starts[0]);
    if (words != 2) return chosen0;
    const uint64_t high = _mm512_cmplt_epu8_mask(_mm512_load_si512(ranks + 64), limit);
    const uint32_t passed = count_ones(span_starts[0]);  // up to 64
    const uint64_t rest = static_cast<uint64_t>((TokenBits{high} << kWordBits | low) >> passed);
    return TokenBits{_pdep_u64(rest, span_starts[1])} << kWordBits | chosen0;
  }
};

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_AVX512_SHORT_ROWS_HPP_
