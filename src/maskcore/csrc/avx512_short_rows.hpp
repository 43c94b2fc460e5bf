// SPDX-License-Identifier: Apache-2.0
// Rows of at most 128 tokens without words for AVX-512, eight at a time: the same choice as RowKernel's, without a
// branch that depends on a draw. What is done alike for every row is done in vectors that hold a word of each of them;
// tables of bytes, which a row has for itself, serve the shuffle.
//
// Spans are measured among eligible tokens alone, where the candidates lie end to end. Included by isa_avx512.cpp
// alone; knows nothing of calls.
#ifndef MASKCORE_AVX512_SHORT_ROWS_HPP_
#define MASKCORE_AVX512_SHORT_ROWS_HPP_

#include <immintrin.h>

#include "avx512_bit_lanes.hpp"
#include "avx512_philox.hpp"
#include "avx512_pieces.hpp"
#include "row_kernel.hpp"

namespace maskcore {
namespace {

// `kWords` is the length of the rows in words, 1 or 2.
template <uint32_t kWords>
class ShortRows {
 public:
  // What `choose` is given. A lane without a row has no eligible token and no budget.
  RowLanes eligible[kWords];
  RowLanes segment_starts[kWords];  // if there are segments
  RowLanes cuts[kWords];            // if `finds_cuts` is false
  RowLanes budgets;                 // at most the number of eligible tokens
  // What it gives back.
  RowLanes span_starts[kWords];

  ShortRows(const KeySchedule& keys, const LengthLaw& law, const DrawPlan& plan, uint32_t row_length,
            bool has_segments) noexcept
      : keys_(keys),
        pieces_(law, row_length),
        has_segments_(has_segments),
        row_length_(row_length),
        num_steps_(static_cast<uint32_t>(plan.num_steps + 3) / 4 * 4) {}

  static bool can_choose(const DrawPlan& plan, uint32_t row_length) noexcept {
    return row_length != 0 && row_length <= 128 && plan.num_steps <= kMostSteps;
  }

  bool finds_cuts() const noexcept { return pieces_.can_cut(); }

  // Empties all lanes.
  void clear() noexcept {
    const __m512i zero = _mm512_setzero_si512();
    for (RowLanes& words : eligible) words.store(zero);
    budgets.store(zero);
  }

  void set_row_ids(const int64_t* row_ids, int64_t num_rows) noexcept { row_ids_ = load_rows(row_ids, num_rows); }
  void count_row_ids(int64_t first) noexcept {
    row_ids_ = _mm512_add_epi64(_mm512_set1_epi64(first), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
  }
  void set_epochs(const int64_t* epochs, int64_t num_rows) noexcept { epochs_ = load_rows(epochs, num_rows); }
  void set_epoch(int64_t epoch) noexcept { epochs_ = _mm512_set1_epi64(epoch); }

  // Eligible tokens from bytes, row after row; nonzero is true.
  void load_bytes(const uint8_t* maskable, int64_t num_rows) noexcept {
    for (int64_t row = 0; row < num_rows; ++row, maskable += row_length_) {
      for (uint32_t word = 0; word < kWords; ++word) {
        const __m512i bytes = _mm512_maskz_loadu_epi8(valid_tokens(word), maskable + word * kWordBits);
        eligible[word][row] = _mm512_test_epi8_mask(bytes, bytes);
      }
    }
  }

  void count_eligible() noexcept { num_eligible_.store(count_words(eligible)); }
  uint32_t num_eligible(int64_t row) const noexcept { return static_cast<uint32_t>(num_eligible_[row]); }

  // Sections 4.3 to 5.3. Returns a bit for each row that takes more draws than are planned, whose words mean nothing.
  uint32_t choose() noexcept {
    const EightRowBlocks blocks(keys_, row_ids_, epochs_);
    uint32_t unfinished = finds_cuts() ? draw_cuts(blocks) : 0;
    find_candidates();
    for (int64_t row = 0; row < kRowLanes; ++row) list_spans(row);
    draw_steps(blocks);
    choose_anchors();
    shuffle();
    for (int64_t row = 0; row < kRowLanes; ++row) unfinished |= uint32_t{!choose_spans(row)} << row;
    fill_spans();
    return unfinished;
  }

  uint64_t masked_word(int64_t row, uint32_t word) const noexcept {
    return _pdep_u64(masked_[word][row], eligible[word][row]);
  }

  // What is masked as bytes, row after row.
  void write_bytes(int64_t num_rows, uint8_t* mask) const noexcept {
    const __m512i one = _mm512_set1_epi8(1);
    for (int64_t row = 0; row < num_rows; ++row, mask += row_length_) {
      for (uint32_t word = 0; word < kWords; ++word) {
        const __m512i bytes = _mm512_maskz_mov_epi8(masked_word(row, word), one);
        if (valid_tokens(word) == ~uint64_t{0})
          _mm512_storeu_si512(mask + word * kWordBits, bytes);
        else
          _mm512_mask_storeu_epi8(mask + word * kWordBits, valid_tokens(word), bytes);
      }
    }
  }

 private:
  static constexpr uint32_t kMostSteps = 32;  // one vector of bytes in the prefix sum

  // By number of candidate.
  struct alignas(64) Tables {
    uint8_t starts[192];  // first token among the eligible ones; behind the last candidate's their number
    uint8_t order[128];   // numbers of candidates, the anchor's first
    uint8_t ranks[128];   // where in that order; 255 for the anchor's and for those that were not shuffled
  };

  static __m512i load_rows(const int64_t* values, int64_t num_rows) noexcept {
    return _mm512_maskz_loadu_epi64(static_cast<__mmask8>((uint32_t{1} << num_rows) - 1), values);
  }

  uint64_t valid_tokens(uint32_t word) const noexcept {
    return word + 1 < kWords ? ~uint64_t{0} : ~uint64_t{0} >> (kWords * kWordBits - row_length_);
  }

  static BitLanes load_words(const RowLanes (&words)[kWords]) noexcept {
    return {words[0].load(), kWords == 2 ? words[kWords - 1].load() : _mm512_setzero_si512()};
  }

  static void store_words(const BitLanes& bits, RowLanes (&words)[kWords]) noexcept {
    words[0].store(bits.low);
    if (kWords == 2) words[kWords - 1].store(bits.high);
  }

  static __m512i count_words(const RowLanes (&words)[kWords]) noexcept {
    return kWords == 2 ? count_ones(load_words(words)) : _mm512_popcnt_epi64(words[0].load());
  }

  // The bits of eligible tokens, which stand word by word in `words`, end to end.
  BitLanes join_eligible(const RowLanes (&words)[kWords]) const noexcept {
    const BitLanes apart = load_words(words);
    return kWords == 2 ? join(apart, _mm512_popcnt_epi64(eligible[0].load())) : apart;
  }

  // Section 4.3; returns a bit for each row whose eligible tokens are not all reached.
  uint32_t draw_cuts(const EightRowBlocks& blocks) noexcept {
    constexpr uint32_t kFirst = block_counter(kPieceLength, 0);
    PieceCutter::Units units = pieces_.start();
    const uint32_t num_appends = pieces_.num_appends();
    uint32_t k = 0;
    for (; k + 2 <= num_appends; k += 2) {
      EightBlocks drawn[4];
      blocks.draw(kFirst + 2 * k, drawn);
      pieces_.append(drawn[0], drawn[1], units);
      pieces_.append(drawn[2], drawn[3], units);
    }
    if (k < num_appends) {
      EightBlocks drawn[2];
      blocks.draw(kFirst + 2 * k, drawn);
      pieces_.append(drawn[0], drawn[1], units);
    }
    store_words(units.cuts, cuts);
    const BitLanes missed = load_words(eligible).without(first_bits(units.count));
    return _mm512_test_epi64_mask(all_ones(), _mm512_or_si512(missed.low, missed.high));
  }

  // Section 4.4.
  void find_candidates() noexcept {
    const BitLanes tokens = load_words(eligible);
    const BitLanes before = tokens.shift_up();
    BitLanes begins = load_words(cuts);
    if (has_segments_) begins = begins | load_words(segment_starts);
    constexpr int kAAndNotBUnlessC = 0xB0;
    store_words({_mm512_ternarylogic_epi64(tokens.low, before.low, begins.low, kAAndNotBUnlessC),
                 _mm512_ternarylogic_epi64(tokens.high, before.high, begins.high, kAAndNotBUnlessC)},
                span_starts);
    num_candidates_.store(count_words(span_starts));
  }

  void list_spans(int64_t row) noexcept {
    const __m512i iota =
        _mm512_set_epi8(63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40,
                        39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16,
                        15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    Tables& tables = tables_[row];
    const uint64_t starts = _pext_u64(span_starts[0][row], eligible[0][row]);
    starts_[0][row] = starts;
    _mm512_store_si512(tables.starts, _mm512_maskz_compress_epi8(starts, iota));
    _mm512_store_si512(tables.order, iota);
    _mm512_store_si512(tables.ranks, _mm512_set1_epi8(-1));
    if (kWords == 2) {
      const uint64_t more = _pext_u64(span_starts[kWords - 1][row], eligible[kWords - 1][row]);
      starts_[kWords - 1][row] = more;
      const __m512i first = _mm512_set1_epi8(static_cast<char>(count_ones(eligible[0][row])));
      _mm512_storeu_si512(tables.starts + count_ones(starts),
                          _mm512_maskz_compress_epi8(more, _mm512_add_epi8(iota, first)));
      _mm512_store_si512(tables.order + kWordBits, _mm512_add_epi8(iota, _mm512_set1_epi8(kWordBits)));
      _mm512_store_si512(tables.ranks + kWordBits, _mm512_set1_epi8(-1));
    }
    tables.starts[num_candidates_[row]] = static_cast<uint8_t>(num_eligible_[row]);
  }

  // With which place each step of the shuffle exchanges its own; steps past the last candidate exchange nothing.
  void draw_steps(const EightRowBlocks& blocks) noexcept {
    constexpr uint32_t kFirst = block_counter(kSpanOrder, 0);
    uint32_t step = 0;
    for (; step + 16 <= num_steps_; step += 16) {
      EightBlocks drawn[4];
      blocks.draw(kFirst + step / 4, drawn);
#pragma GCC unroll 4
      for (uint32_t b = 0; b < 4; ++b) set_steps(step + 4 * b, drawn[b]);
    }
    for (; step < num_steps_; step += 4) {
      EightBlocks drawn[1];
      blocks.draw(kFirst + step / 4, drawn);
      set_steps(step, drawn[0]);
    }
  }

  void set_steps(uint32_t first, const EightBlocks& drawn) noexcept {
    if (first == 0) anchors_.store(mulhi_lanes(drawn.c0, num_eligible_.load()));  // section 5.1
    const __m512i num_candidates = num_candidates_.load();
    const __m512i words[4] = {drawn.c0, drawn.c1, drawn.c2, drawn.c3};
#pragma GCC unroll 4
    for (uint32_t k = 0; k < 4; ++k) {
      const __m512i step = all_lanes(first + k);
      const __m512i bound = _mm512_subs_epu16(num_candidates, step);
      others_[first + k].store(_mm512_add_epi64(step, mulhi_lanes(words[k], bound)));
    }
  }

  static __m512i mulhi_lanes(__m512i draws, __m512i bounds) noexcept {
    return _mm512_srli_epi64(_mm512_mul_epu32(draws, bounds), 32);
  }

  // The anchors' candidates, and the first exchange of section 5.2.
  void choose_anchors() noexcept {
    const BitLanes upto = first_bits(_mm512_add_epi64(anchors_.load(), all_lanes(1)));
    // A row without candidates has none; its number 0 does no harm.
    anchor_spans_.store(_mm512_subs_epu16(count_ones(join_eligible(starts_) & upto), all_lanes(1)));
    for (int64_t row = 0; row < kRowLanes; ++row) {
      const uint64_t candidate = anchor_spans_[row];
      tables_[row].order[0] = static_cast<uint8_t>(candidate);
      tables_[row].order[candidate] = 0;
    }
  }

  // The other exchanges. The steps of one row wait for each other, those of several rows do not.
  void shuffle() noexcept {
    for (uint32_t step = 1; step < num_steps_; ++step) {
#pragma GCC unroll 8
      for (int64_t row = 0; row < kRowLanes; ++row) {
        Tables& tables = tables_[row];
        const uint64_t other = others_[step][row];
        const uint8_t candidate = tables.order[other];
        tables.order[other] = tables.order[step];
        tables.order[step] = candidate;
        tables.ranks[candidate] = static_cast<uint8_t>(step);
      }
    }
  }

  // Section 5.3: which candidates are masked whole, and what of the next one; false for a row that takes more steps.
  bool choose_spans(int64_t row) noexcept {
    const Tables& tables = tables_[row];
    const uint32_t anchor = static_cast<uint32_t>(anchors_[row]);
    const uint32_t tail_length = tables.starts[anchor_spans_[row] + 1] - anchor;
    const uint32_t budget = static_cast<uint32_t>(budgets[row]);
    uint8_t sums[kMostSteps + 1];
    sum_lengths(tables, static_cast<uint32_t>(num_candidates_[row]), tail_length, sums);
    const __m256i after = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + 1));
    const uint32_t num_whole =
        count_ones(uint64_t{_mm256_cmplt_epu8_mask(after, _mm256_set1_epi8(static_cast<char>(budget)))});
    if (__builtin_expect(num_whole >= num_steps_, 0)) return false;
    num_whole_[row] = num_whole;
    last_starts_[row] = num_whole == 0 ? anchor : tables.starts[tables.order[num_whole]];
    last_lengths_[row] = budget - sums[num_whole];
    const __m512i limit = _mm512_set1_epi8(static_cast<char>(num_whole));
    const uint64_t low = _mm512_cmplt_epu8_mask(_mm512_load_si512(tables.ranks), limit);
    chosen_[0][row] = _pdep_u64(low, starts_[0][row]);
    if (kWords == 2) {
      const uint64_t high = _mm512_cmplt_epu8_mask(_mm512_load_si512(tables.ranks + kWordBits), limit);
      const uint32_t passed = count_ones(starts_[0][row]);  // up to 64
      const uint64_t rest = passed == kWordBits ? high : low >> passed | high << 1 << (kWordBits - 1 - passed);
      chosen_[kWords - 1][row] = _pdep_u64(rest, starts_[kWords - 1][row]);
    }
    return true;
  }

  // `sums[k]` becomes the sum of the first k parts' tokens, in their order; the anchor's candidate counts from the
  // anchor on.
  void sum_lengths(const Tables& tables, uint32_t num_candidates, uint32_t tail_length, uint8_t* sums) const noexcept {
    const __m512i numbers = _mm512_castsi256_si512(_mm256_load_si256(reinterpret_cast<const __m256i*>(tables.order)));
    const __m512i low = _mm512_sub_epi8(_mm512_loadu_si512(tables.starts + 1), _mm512_load_si512(tables.starts));
    __m512i lengths = _mm512_permutexvar_epi8(numbers, low);
    if (kWords == 2) {
      const __m512i high = _mm512_sub_epi8(_mm512_loadu_si512(tables.starts + kWordBits + 1),
                                           _mm512_load_si512(tables.starts + kWordBits));
      lengths = _mm512_permutex2var_epi8(low, numbers, high);
    }
    const uint32_t num_known = num_steps_ < num_candidates ? num_steps_ : num_candidates;
    const __mmask32 known = static_cast<__mmask32>((uint64_t{1} << num_known) - 1);
    __m256i sum = _mm256_maskz_mov_epi8(known, _mm512_castsi512_si256(lengths));
    sum = _mm256_mask_mov_epi8(sum, 1, _mm256_set1_epi8(static_cast<char>(tail_length)));
    sum = _mm256_add_epi8(sum, _mm256_bslli_epi128(sum, 1));
    sum = _mm256_add_epi8(sum, _mm256_bslli_epi128(sum, 2));
    sum = _mm256_add_epi8(sum, _mm256_bslli_epi128(sum, 4));
    sum = _mm256_add_epi8(sum, _mm256_bslli_epi128(sum, 8));
    sum = _mm256_add_epi8(sum, _mm256_maskz_permutexvar_epi8(0xFFFF0000u, _mm256_set1_epi8(15), sum));
    sums[0] = 0;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + 1), sum);
  }

  // Fills each chosen part up to its stop, as RowKernel::mask_chosen does, and adds what is masked of the last one.
  void fill_spans() noexcept {
    const __mmask8 has_tail = _mm512_test_epi64_mask(num_whole_.load(), all_ones());
    const BitLanes tail = BitLanes::at(anchors_.load(), _mm512_maskz_mov_epi64(has_tail, all_lanes(1)));
    const BitLanes chosen = join_eligible(chosen_) | tail;
    const BitLanes continues = first_bits(num_eligible_.load()).without(join_eligible(starts_));
    const BitLanes after = chosen.shift_up();
    const __m512i sum_low = _mm512_add_epi64(continues.low, after.low);
    const __mmask8 carry = _mm512_cmplt_epu64_mask(sum_low, continues.low);
    const __m512i sum_high = _mm512_add_epi64(continues.high, after.high);
    const BitLanes sum = {sum_low, _mm512_mask_add_epi64(sum_high, carry, sum_high, all_lanes(1))};

    const __m512i last_starts = last_starts_.load();
    const BitLanes last =
        first_bits(_mm512_add_epi64(last_starts, last_lengths_.load())).without(first_bits(last_starts));
    const BitLanes masked = chosen | continues.without(sum) | last;
    masked_[0].store(masked.low);
    if (kWords == 2) masked_[kWords - 1].store(behind(masked, _mm512_popcnt_epi64(eligible[0].load())));
  }

  const KeySchedule& keys_;
  const PieceCutter pieces_;
  const bool has_segments_;
  const uint32_t row_length_;
  const uint32_t num_steps_;

  __m512i row_ids_;
  __m512i epochs_;
  RowLanes num_eligible_;
  RowLanes num_candidates_;
  RowLanes starts_[kWords];  // of candidates, among the eligible tokens of each word
  RowLanes others_[kMostSteps];
  RowLanes anchors_;       // among the eligible tokens
  RowLanes anchor_spans_;  // their candidates
  RowLanes num_whole_;     // parts that are masked whole
  RowLanes chosen_[kWords];
  RowLanes last_starts_;
  RowLanes last_lengths_;
  RowLanes masked_[kWords];  // among the eligible tokens of each word
  Tables tables_[kRowLanes];
};

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_AVX512_SHORT_ROWS_HPP_
