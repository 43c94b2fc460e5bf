// SPDX-License-Identifier: Apache-2.0
// The C ABI: checks a call, and hands it to the best instruction-set level that this machine can run.
// The levels stand in one ordered list; MASKCORE_SIMD or maskcore_use_simd_level forces one.
#include <stdlib.h>
#include <string.h>

#include "isa.hpp"
#include "philox.hpp"

#if MASKCORE_IS_X86_64
#include <cpuid.h>
#endif

namespace maskcore {
namespace {

#if MASKCORE_IS_X86_64
// cpuid and xgetbv by hand: __builtin_cpu_supports answers 0 for everything under zig.
struct CpuFeatures {
  bool has_avx2 = false;
  bool has_avx512 = false;

  CpuFeatures() noexcept {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0) return;
    const unsigned family = (a >> 8 & 0xF) + (a >> 20 & 0xFF);
    const bool has_os_save = (c >> 27 & 1) != 0;
    if (!has_os_save) return;
    unsigned xcr0 = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
    constexpr unsigned kYmm = 0x6, kZmm = 0xE6;
    const bool has_popcnt = (c >> 23 & 1) != 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return;
    const unsigned bmi1_avx2_bmi2 = 1u << 3 | 1u << 5 | 1u << 8;
    const unsigned f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    const unsigned vbmi_vbmi2_vpopcntdq = 1u << 1 | 1u << 6 | 1u << 14;
    const unsigned leaf7_b = b, leaf7_c = c;
    const bool has_lzcnt = __get_cpuid(0x80000001, &a, &b, &c, &d) != 0 && (c >> 5 & 1) != 0;
    has_avx2 = has_popcnt && has_lzcnt && (xcr0 & kYmm) == kYmm && (leaf7_b & bmi1_avx2_bmi2) == bmi1_avx2_bmi2 &&
               !has_slow_bit_deposit(family);
    has_avx512 = has_avx2 && (xcr0 & kZmm) == kZmm && (leaf7_b & f_dq_bw_vl) == f_dq_bw_vl &&
                 (leaf7_c & vbmi_vbmi2_vpopcntdq) == vbmi_vbmi2_vpopcntdq;
  }

  // Zen 1 and 2 (family 17h, and Hygon's 18h) run pdep and pext in microcode, up to 289 cycles each (Agner Fog,
  // instruction tables).
  static bool has_slow_bit_deposit(unsigned family) noexcept { return family == 0x17 || family == 0x18; }
};

bool can_run_avx2() noexcept { return CpuFeatures().has_avx2; }
bool can_run_avx512() noexcept { return CpuFeatures().has_avx512; }
#endif

bool can_always_run() noexcept { return true; }

struct Level {
  const char* name;
  bool (*can_run)() noexcept;
  MaskRowRange mask_row_range;
};

// Best first.
constexpr Level kLevels[] = {
#if MASKCORE_IS_X86_64
    {"avx512", can_run_avx512, mask_row_range_avx512},
    {"avx2", can_run_avx2, mask_row_range_avx2},
#endif
    {"scalar", can_always_run, mask_row_range_scalar},
};

const Level* find_level(const char* name) noexcept {
  for (const Level& level : kLevels) {
    if (strcmp(level.name, name) == 0 && level.can_run()) return &level;
  }
  return nullptr;
}

const Level* choose_level() noexcept {
  const char* const forced = getenv("MASKCORE_SIMD");
  if (forced != nullptr && forced[0] != '\0') return find_level(forced);
  for (const Level& level : kLevels) {
    if (level.can_run()) return &level;
  }
  return nullptr;
}

// Constant after start-up unless a test forces a level; every thread would choose the same.
const Level* chosen_level = nullptr;

const Level* active_level() noexcept {
  const Level* level = __atomic_load_n(&chosen_level, __ATOMIC_RELAXED);
  if (level == nullptr) {
    level = choose_level();
    __atomic_store_n(&chosen_level, level, __ATOMIC_RELAXED);
  }
  return level;
}

bool is_id_kind(int32_t kind) noexcept {
  return kind == MASKCORE_INT16 || kind == MASKCORE_INT32 || kind == MASKCORE_INT64;
}

bool is_maskable_kind(int32_t kind) noexcept {
  return kind == MASKCORE_INT8 || is_id_kind(kind) || kind == MASKCORE_FLOAT32 || kind == MASKCORE_FLOAT64;
}

bool are_thresholds_sound(const maskcore_call& call) noexcept {
  if (call.num_length_thresholds < 0 || call.num_length_thresholds >= MASKCORE_MAX_NGRAM) return false;
  if (call.num_length_thresholds > 0 && call.length_thresholds == nullptr) return false;
  uint32_t before = 0;
  for (int64_t j = 0; j < call.num_length_thresholds; ++j) {
    if (call.length_thresholds[j] < before || call.length_thresholds[j] > 1u << 16) return false;
    before = call.length_thresholds[j];
  }
  return true;
}

bool are_tokens_sound(const maskcore_call& call) noexcept {
  if (call.input_ids == nullptr)
    return call.masked_ids == nullptr && call.labels == nullptr && call.prediction_ids == nullptr;
  if (!is_id_kind(call.input_ids_kind)) return false;
  if (call.labels != nullptr && call.labels_kind != call.input_ids_kind && call.labels_kind != MASKCORE_INT32)
    return false;
  if (call.num_special_ranges < 0 || (call.num_special_ranges > 0 && call.special_ranges == nullptr)) return false;
  const uint64_t mask_below = call.replacement_thresholds[0], random_below = call.replacement_thresholds[1];
  if (mask_below > random_below || random_below > uint64_t{1} << 32) return false;
  const bool has_table = call.random_ids != nullptr && call.num_random_ids > 0 && call.num_random_ids >> 32 == 0;
  return mask_below == random_below || has_table;
}

bool is_sound(const maskcore_call& call) noexcept {
  if (call.num_rows < 0 || call.row_length < 0 || call.row_length > MASKCORE_MAX_ROW_LENGTH) return false;
  if (call.maskable == nullptr && (call.input_ids == nullptr || call.mask != nullptr)) return false;
  if (call.maskable != nullptr && !is_maskable_kind(call.maskable_kind)) return false;
  if (call.ratio_e9 < 0 || call.ratio_e9 > 1000000000 || call.num_predictions < 0) return false;
  return are_thresholds_sound(call) && are_tokens_sound(call);
}

}  // namespace
}  // namespace maskcore

extern "C" {

int32_t maskcore_mask_row_range(const maskcore_call* call, int64_t first_row, int64_t stop_row) {
  const maskcore::Level* level = maskcore::active_level();
  if (call == nullptr || level == nullptr || !maskcore::is_sound(*call)) return MASKCORE_BAD_CALL;
  if (first_row < 0 || stop_row > call->num_rows) return MASKCORE_BAD_CALL;
  return first_row < stop_row ? level->mask_row_range(*call, first_row, stop_row) : MASKCORE_OK;
}

void maskcore_philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4]) {
  const maskcore::KeySchedule keys(uint64_t{key[1]} << 32 | key[0]);
  maskcore::philox_block(keys, counter[0], {counter[1], counter[2], counter[3]}, words);
}

const char* maskcore_simd_level(int32_t index) {
  for (const maskcore::Level& level : maskcore::kLevels) {
    if (level.can_run() && index-- == 0) return level.name;
  }
  return nullptr;
}

const char* maskcore_active_simd_level(void) {
  const maskcore::Level* level = maskcore::active_level();
  return level == nullptr ? nullptr : level->name;
}

int32_t maskcore_use_simd_level(const char* name) {
  const maskcore::Level* level = name == nullptr ? nullptr : maskcore::find_level(name);
  if (level == nullptr) return MASKCORE_BAD_CALL;
  __atomic_store_n(&maskcore::chosen_level, level, __ATOMIC_RELAXED);
  return MASKCORE_OK;
}

}  // extern "C"
