// SPDX-License-Identifier: Apache-2.0
// CRC-32C by tables of eight bytes at once, and the choice of the level: one ordered list, best first.
//
// The tables are those of Kounavis and Berry, "Novel table lookup-based algorithms for high-performance CRC generation"
// (IEEE Transactions on Computers 57, 2008): byte k of a word of eight goes through 7 - k further zero bytes.
#include "crc32c.hpp"

#include <string.h>

#include "maskcore_records.h"

#if defined(__x86_64__) || defined(_M_X64)
#define MASKCORE_CRC32C_HAS_SSE42 1
#include <cpuid.h>
#else
#define MASKCORE_CRC32C_HAS_SSE42 0
#endif

#if defined(__aarch64__) && defined(__linux__)
#define MASKCORE_CRC32C_HAS_ARMV8 1
#include <sys/auxv.h>
#else
#define MASKCORE_CRC32C_HAS_ARMV8 0
#endif

namespace maskcore {
namespace {

struct ByteTables {
  uint32_t after[8][256];

  constexpr ByteTables() noexcept : after() {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      uint32_t crc = byte;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kCrc32cPolynomial : 0);
      after[0][byte] = crc;
    }
    for (int zeros = 1; zeros < 8; ++zeros) {
      for (uint32_t byte = 0; byte < 256; ++byte) {
        const uint32_t crc = after[zeros - 1][byte];
        after[zeros][byte] = (crc >> 8) ^ after[0][crc & 0xFF];
      }
    }
  }
};

constexpr ByteTables kTables;

bool can_always_run() noexcept { return true; }

#if MASKCORE_CRC32C_HAS_SSE42
bool can_run_sse42() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 20 & 1) != 0;
}
#endif

#if MASKCORE_CRC32C_HAS_ARMV8
bool can_run_armv8() noexcept {
  constexpr unsigned long kHwcapCrc32 = 1ul << 7;  // HWCAP_CRC32 of Linux' uapi/asm/hwcap.h
  return (getauxval(AT_HWCAP) & kHwcapCrc32) != 0;
}
#endif

struct Level {
  const char* name;
  bool (*can_run)() noexcept;
  UpdateCrc32c update;
};

constexpr Level kLevels[] = {
#if MASKCORE_CRC32C_HAS_SSE42
    {"sse4.2", can_run_sse42, update_crc32c_sse42},
#endif
#if MASKCORE_CRC32C_HAS_ARMV8
    {"armv8", can_run_armv8, update_crc32c_armv8},
#endif
    {"table", can_always_run, update_crc32c_table},
};

// Every thread would choose the same: it is kept because asking the processor can take microseconds under a hypervisor.
UpdateCrc32c chosen_update = nullptr;

}  // namespace

uint32_t update_crc32c_table(uint32_t crc, const uint8_t* bytes, size_t num_bytes) noexcept {
  for (; num_bytes >= 8; bytes += 8, num_bytes -= 8) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    word ^= crc;
    crc = 0;
    for (int byte = 0; byte < 8; ++byte) crc ^= kTables.after[7 - byte][word >> 8 * byte & 0xFF];
  }
  for (; num_bytes != 0; ++bytes, --num_bytes) crc = (crc >> 8) ^ kTables.after[0][(crc ^ *bytes) & 0xFF];
  return crc;
}

UpdateCrc32c best_crc32c() noexcept {
  UpdateCrc32c update = __atomic_load_n(&chosen_update, __ATOMIC_RELAXED);
  for (const Level* level = kLevels; update == nullptr; ++level) {
    if (!level->can_run()) continue;
    update = level->update;
    __atomic_store_n(&chosen_update, update, __ATOMIC_RELAXED);
  }
  return update;
}

}  // namespace maskcore

extern "C" {

const char* maskcore_crc32c_level(int32_t index) {
  for (const maskcore::Level& level : maskcore::kLevels) {
    if (level.can_run() && index-- == 0) return level.name;
  }
  return nullptr;
}

int32_t maskcore_crc32c(const char* level, const uint8_t* bytes, int64_t num_bytes, uint32_t* crc) {
  if (crc == nullptr || num_bytes < 0 || (bytes == nullptr && num_bytes != 0)) return MASKCORE_RECORDS_BAD_CALL;
  maskcore::UpdateCrc32c update = level == nullptr ? maskcore::best_crc32c() : nullptr;
  for (const maskcore::Level& candidate : maskcore::kLevels) {
    if (level != nullptr && strcmp(candidate.name, level) == 0 && candidate.can_run()) update = candidate.update;
  }
  if (update == nullptr) return MASKCORE_RECORDS_BAD_CALL;
  *crc = maskcore::crc32c(update, bytes, static_cast<size_t>(num_bytes));
  return MASKCORE_RECORDS_OK;
}

}  // extern "C"
