// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10 (Salmon et al., SC 2011), one block at a time, and how a row's draws are addressed: docs/algorithm.md,
// section 2. Included by one translation unit per instruction set, so it uses no standard header with code in it.
#ifndef MASKCORE_PHILOX_HPP_
#define MASKCORE_PHILOX_HPP_

#include <stdint.h>

namespace maskcore {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53u;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57u;
constexpr uint32_t kWeyl0 = 0x9E3779B9u;
constexpr uint32_t kWeyl1 = 0xBB67AE85u;
constexpr int kNumRounds = 10;

enum Purpose : uint32_t { kPieceLength = 1, kSpanOrder = 2, kReplacement = 3, kRandomId = 4 };

// The first counter word of block `index`; 2^24 blocks a purpose.
constexpr uint32_t block_counter(Purpose purpose, uint32_t index) {
  return static_cast<uint32_t>(purpose) << 24 | index;
}

// The key of every round; one schedule serves a whole batch, since the key is the seed.
struct KeySchedule {
  uint32_t k0[kNumRounds];
  uint32_t k1[kNumRounds];

  explicit KeySchedule(uint64_t seed) noexcept {
    uint32_t low = static_cast<uint32_t>(seed);
    uint32_t high = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < kNumRounds; ++round) {
      k0[round] = low;
      k1[round] = high;
      low += kWeyl0;  // wraps: the schedule is modulo 2^32
      high += kWeyl1;
    }
  }
};

// What a row's draws depend on besides the seed: the last three counter words.
struct RowAddress {
  uint32_t row_id_low;
  uint32_t row_id_high;
  uint32_t epoch;
};

inline void philox_block(const KeySchedule& keys, uint32_t c0, const RowAddress& address, uint32_t words[4]) noexcept {
  uint32_t c1 = address.row_id_low;
  uint32_t c2 = address.row_id_high;
  uint32_t c3 = address.epoch;
  for (int round = 0; round < kNumRounds; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(c0) * kMultiplier0;
    const uint64_t product1 = static_cast<uint64_t>(c2) * kMultiplier1;
    c0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ keys.k0[round];
    c1 = static_cast<uint32_t>(product1);
    c2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ keys.k1[round];
    c3 = static_cast<uint32_t>(product0);
  }
  words[0] = c0;
  words[1] = c1;
  words[2] = c2;
  words[3] = c3;
}

// An integer in [0, bound) from a 32-bit draw, bias below bound / 2^32.
inline uint32_t mulhi(uint32_t draw, uint32_t bound) noexcept {
  return static_cast<uint32_t>(static_cast<uint64_t>(draw) * bound >> 32);
}

// Sixteen blocks of one row in two runs of consecutive blocks: `first_run_size` from `first_run`, the rest from
// `second_run`.
struct Panel {
  uint32_t first_run;
  uint32_t first_run_size;
  uint32_t second_run;
  RowAddress address;
};

constexpr int kPanelBlocks = 16;
constexpr int kPanelWords = 4 * kPanelBlocks;

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_PHILOX_HPP_
