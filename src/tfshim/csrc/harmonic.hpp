// SPDX-License-Identifier: Apache-2.0
// The thresholds of the default weights 1, 1/2, ..., 1/max_n (docs/algorithm.md, section 3), in integers.
#ifndef MASKCORE_TFSHIM_HARMONIC_HPP_
#define MASKCORE_TFSHIM_HARMONIC_HPP_

#include <stdint.h>

namespace maskcore_tf {

// Writes T_j = floor(2^16 * H_j / H_max_n + 1/2) for j = 1 .. max_n - 1, where H_j = 1 + 1/2 + ... + 1/j and 1 <= max_n
// <= 255.
//
// The sums are kept in units of 2^-52, so each is low by less than j units; that never moves a T_j across an integer,
// which tests/test_tf_classic.py shows for every max_n against exact fractions.
inline void harmonic_thresholds(int32_t max_n, uint32_t* thresholds) noexcept {
  constexpr uint64_t kOne = uint64_t{1} << 52;
  constexpr unsigned kHalfBits = 8;  // H_255 < 8, so that a remainder may be shifted by 8 bits
  uint64_t total = 0;
  for (int32_t j = 1; j <= max_n; ++j) total += kOne / static_cast<uint64_t>(j);
  uint64_t sum = 0;
  for (int32_t j = 1; j < max_n; ++j) {
    sum += kOne / static_cast<uint64_t>(j);
    // 16 bits of the quotient sum / total, by long division in two steps; then the rounding.
    const uint64_t high = (sum << kHalfBits) / total;
    const uint64_t rest = (sum << kHalfBits) % total;
    const uint64_t low = (rest << kHalfBits) / total;
    const uint64_t last = (rest << kHalfBits) % total;
    thresholds[j - 1] = static_cast<uint32_t>((high << kHalfBits) + low + (2 * last >= total ? 1 : 0));
  }
}

}  // namespace maskcore_tf

#endif  // MASKCORE_TFSHIM_HARMONIC_HPP_
