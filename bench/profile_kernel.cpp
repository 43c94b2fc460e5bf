// SPDX-License-Identifier: Apache-2.0
// Masks the bench's shape over and over through the C ABI, for bench/profile_kernel.py to sample. Usage: profile_kernel
// LEVEL CALLS
//
// Knows nothing of Python; its rows are as the bench's (80 % maskable, a fifth of those masked), of its own making.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "maskcore.h"

int main(int argc, char** argv) {
  constexpr int64_t kRows = 4096;
  constexpr int64_t kLength = 128;
  if (argc != 3 || maskcore_use_simd_level(argv[1]) != MASKCORE_OK) {
    std::fprintf(stderr, "usage: profile_kernel LEVEL CALLS, with a level that runs here\n");
    return 2;
  }
  std::vector<uint8_t> maskable(kRows * kLength);
  for (size_t i = 0; i < maskable.size(); i += 4) {
    const uint32_t counter[4] = {static_cast<uint32_t>(i), 0, 0, 0};
    const uint32_t key[2] = {23, 0};
    uint32_t words[4];
    maskcore_philox4x32_10(counter, key, words);
    for (size_t w = 0; w < 4; ++w) maskable[i + w] = words[w] < 3435973837u;  // 0.8 * 2^32
  }
  std::vector<uint8_t> mask(maskable.size());
  const uint32_t thresholds[2] = {35747, 53620};  // lengths 1, 2, 3 by 1, 1/2, 1/3: docs/algorithm.md, section 3

  maskcore_call call{};
  call.seed = 23;
  call.length_thresholds = thresholds;
  call.num_length_thresholds = 2;
  call.ratio_e9 = 200000000;
  call.budget_cap = -1;
  call.num_rows = kRows;
  call.row_length = kLength;
  call.maskable = maskable.data();
  call.maskable_kind = MASKCORE_INT8;
  call.mask = mask.data();

  const long calls = std::strtol(argv[2], nullptr, 10);
  const auto start = std::chrono::steady_clock::now();
  for (long i = 0; i < calls; ++i) {
    call.epoch = i;
    if (maskcore_mask_rows(&call, 1) != MASKCORE_OK) return 1;
  }
  const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
  std::printf("%.1f\n", elapsed.count() / static_cast<double>(calls * kRows));
  return 0;
}
