// SPDX-License-Identifier: Apache-2.0
// Rows shared among threads. The only file of the kernel that needs the C++ runtime, so that the TensorFlow op can
// leave it out.
#include <exception>
#include <new>
#include <thread>
#include <vector>

#include "maskcore.h"

namespace {

int64_t share_start(int64_t num_rows, int64_t share, int64_t num_shares) noexcept {
  const int64_t rest = num_rows % num_shares;
  return num_rows / num_shares * share + (share < rest ? share : rest);
}

int32_t mask_in_shares(const maskcore_call& call, int32_t num_shares) {
  std::vector<int32_t> statuses(static_cast<size_t>(num_shares), MASKCORE_OK);
  std::vector<std::thread> threads;
  threads.reserve(statuses.size());
  const auto mask_share = [&call, &statuses, num_shares](int32_t share) noexcept {
    statuses[static_cast<size_t>(share)] = maskcore_mask_row_range(&call, share_start(call.num_rows, share, num_shares),
                                                                   share_start(call.num_rows, share + 1, num_shares));
  };
  int32_t share = 1;
  try {
    for (; share < num_shares; ++share) threads.emplace_back(mask_share, share);
  } catch (const std::exception&) {
    // No more threads, or no memory for one: this one does the rest. The bits do not depend on it.
    for (int32_t left = share; left < num_shares; ++left) mask_share(left);
  }
  mask_share(0);
  for (std::thread& thread : threads) thread.join();
  for (const int32_t status : statuses) {
    if (status != MASKCORE_OK) return status;
  }
  return MASKCORE_OK;
}

}  // namespace

extern "C" int32_t maskcore_mask_rows(const maskcore_call* call, int32_t num_threads) {
  if (call == nullptr) return MASKCORE_BAD_CALL;
  const int64_t useful = num_threads < call->num_rows ? num_threads : call->num_rows;
  if (useful <= 1) return maskcore_mask_row_range(call, 0, call->num_rows);
  try {
    return mask_in_shares(*call, static_cast<int32_t>(useful));
  } catch (const std::bad_alloc&) {
    return MASKCORE_OUT_OF_MEMORY;
  }
}
