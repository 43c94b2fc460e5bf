// SPDX-License-Identifier: Apache-2.0
// A range of rows: reading each row into bits, and its budget: docs/algorithm.md, sections 1 and 6. Compiled once per
// instruction set, like row_kernel.hpp, which holds the choice itself, and row_writer.hpp, which writes it down.
#ifndef MASKCORE_BATCH_HPP_
#define MASKCORE_BATCH_HPP_

#include <stdlib.h>

#include "maskcore.h"
#include "row_kernel.hpp"
#include "row_writer.hpp"

namespace maskcore {
namespace {

constexpr int64_t kRatioUnit = 1000000000;

// Rows are prepared in groups: each row ends in a branch that cannot be predicted, and what lies before it would
// otherwise wait for the one before. Long rows fill the machine by themselves.
constexpr int64_t kMostGroupRows = 8;
constexpr int64_t kLongRow = 1024;

// `ShortRows` takes as long for one row as for eight: fewer than these are masked faster one by one.
constexpr int64_t kFewestShortRows = 4;

inline int64_t rows_in_group(int64_t row_length, int64_t num_rows) noexcept {
  const int64_t most = row_length <= kLongRow ? kMostGroupRows : 1;
  return num_rows < most ? num_rows : most;
}

inline uint32_t budget_from_ratio(int64_t ratio_e9, int64_t cap, uint32_t num_eligible) noexcept {
  if (num_eligible == 0) return 0;
  int64_t budget = (2 * ratio_e9 * num_eligible + kRatioUnit) / (2 * kRatioUnit);
  if (budget < 1) budget = 1;
  return static_cast<uint32_t>(cap >= 0 && budget > cap ? cap : budget);
}

template <class Unsigned>
inline void flag_nonzero(const void* values, uint32_t length, Unsigned significant, uint8_t* flags) noexcept {
  const Unsigned* elements = static_cast<const Unsigned*>(values);
  for (uint32_t t = 0; t < length; ++t) flags[t] = (elements[t] & significant) != 0;
}

template <class Id>
inline void clear_special(const Id* ids, uint32_t length, const int64_t* ranges, int64_t num_ranges,
                          uint8_t* flags) noexcept {
  for (int64_t range = 0; range < num_ranges; ++range) {
    const int64_t low = ranges[2 * range];
    const int64_t high = ranges[2 * range + 1];
    for (uint32_t t = 0; t < length; ++t) flags[t] &= !(ids[t] >= low && ids[t] <= high);
  }
}

template <class Isa, class Position, uint32_t kWords>
class Batch {
 public:
  Batch(const maskcore_call& call, int64_t group_rows, uint8_t* memory) noexcept
      : call_(call),
        group_rows_(group_rows),
        length_(static_cast<uint32_t>(call.row_length)),
        keys_(call.seed),
        law_(call.length_thresholds, call.num_length_thresholds),
        plan_(law_, length_, typical_budget(call)),
        panels_(keys_, plan_.first_panel()),
        kernel_(keys_, law_, plan_, length_, call.word_ids != nullptr, call.segment_ids != nullptr),
        writer_(call, keys_) {
    uint8_t* place = memory;
    for (int64_t member = 0; member < group_rows_; ++member, place += Scratch<Position>::num_bytes(length_))
      scratches_[member] = Scratch<Position>(place, length_);
  }

  void mask_rows(int64_t first_row, int64_t stop_row) noexcept {
    if constexpr (Isa::kHasShortRows) {
      using ShortRows = typename Isa::template ShortRows<kWords>;
      if (call_.word_ids == nullptr && stop_row - first_row >= kFewestShortRows &&
          ShortRows::can_choose(plan_, length_)) {
        ShortRows rows(keys_, law_, plan_, length_, call_.segment_ids != nullptr);
        for (; stop_row - first_row >= kFewestShortRows; first_row += rows_from(first_row, stop_row))
          mask_short_group(rows, first_row, rows_from(first_row, stop_row));
      }
    }
    for (; first_row < stop_row; first_row += rows_from(first_row, stop_row))
      mask_group(first_row, rows_from(first_row, stop_row));
  }

 private:
  // How many rows the group has that begins there.
  int64_t rows_from(int64_t first_row, int64_t stop_row) const noexcept {
    return stop_row - first_row < group_rows_ ? stop_row - first_row : group_rows_;
  }

  uint32_t row_words() const noexcept { return kWords != 0 ? kWords : num_words(length_); }

  static int64_t typical_budget(const maskcore_call& call) noexcept {
    int64_t budget = call.ratio_e9 != 0 ? call.ratio_e9 * call.row_length / kRatioUnit : call.budget;
    if (call.budgets != nullptr) budget = largest_budget(call.budgets, call.num_rows);
    return budget < 0 ? 0 : budget > call.row_length ? call.row_length : budget;
  }

  // Of the first rows: one that takes more draws than are planned costs more than one that takes less.
  static int64_t largest_budget(const int64_t* budgets, int64_t num_rows) noexcept {
    constexpr int64_t kMostRows = 64;
    int64_t largest = 0;
    for (int64_t row = 0; row < num_rows && row < kMostRows; ++row)
      if (budgets[row] > largest) largest = budgets[row];
    return largest;
  }

  RowAddress address_of(int64_t row) const noexcept {
    const uint64_t id = static_cast<uint64_t>(call_.row_ids != nullptr ? call_.row_ids[row] : call_.first_row_id + row);
    const int64_t epoch = call_.epochs != nullptr ? call_.epochs[row] : call_.epoch;
    return {static_cast<uint32_t>(id), static_cast<uint32_t>(id >> 32), static_cast<uint32_t>(epoch)};
  }

  struct Member {
    RowAddress address;
    uint32_t num_eligible;
    uint32_t budget;
    Prepared prepared;
  };

  void mask_group(int64_t first_row, int64_t num_rows) noexcept {
    // One panel of room: a vector that begins in the last member's panel may end past it.
    alignas(64) uint32_t draws[kMostGroupRows + 1][kPanelWords];
    Member members[kMostGroupRows];
    for (int64_t member = 0; member < num_rows; ++member) members[member].address = address_of(first_row + member);
    for (int64_t member = 0; member < num_rows; member += 2) {
      if (member + 1 < num_rows)
        panels_.draw_two(members[member].address, members[member + 1].address, draws[member], draws[member + 1]);
      else
        panels_.draw(members[member].address, draws[member]);
    }
    for (int64_t member = 0; member < num_rows; ++member)
      cut_row(scratches_[member], first_row + member, members[member], draws[member]);
    for (int64_t member = 0; member < num_rows; ++member)
      prepare_row(scratches_[member], members[member], draws[member]);
    for (int64_t member = 0; member < num_rows; ++member) {
      const Scratch<Position>& s = scratches_[member];
      if (members[member].budget != 0)
        kernel_.mask_row(s, members[member].address, members[member].prepared, members[member].budget);
      writer_.write_row(s, first_row + member, members[member].address);
    }
  }

  template <class ShortRows>
  void mask_short_group(ShortRows& rows, int64_t first_row, int64_t num_rows) noexcept {
    if (num_rows < kMostGroupRows) rows.clear();
    load_short_rows(rows, first_row, num_rows);
    rows.count_eligible();
    for (int64_t row = 0; row < num_rows; ++row) rows.budgets[row] = budget_of(first_row + row, rows.num_eligible(row));
    if (!rows.finds_cuts()) cut_short_rows(rows, first_row, num_rows);
    const uint32_t unfinished = rows.choose();
    if (unfinished == 0 && writer_.writes_bytes_alone())
      return rows.write_bytes(num_rows, static_cast<uint8_t*>(call_.mask) + first_row * call_.row_length);
    for (int64_t row = 0; row < num_rows; ++row) {
      if ((unfinished >> row & 1) == 0)
        write_short_row(rows, first_row + row, row);
      else
        mask_group(first_row + row, 1);
    }
  }

  template <class ShortRows>
  void load_short_rows(ShortRows& rows, int64_t first_row, int64_t num_rows) const noexcept {
    if (call_.row_ids != nullptr)
      rows.set_row_ids(call_.row_ids + first_row, num_rows);
    else
      rows.count_row_ids(call_.first_row_id + first_row);
    if (call_.epochs != nullptr)
      rows.set_epochs(call_.epochs + first_row, num_rows);
    else
      rows.set_epoch(call_.epoch);
    if (loads_bytes() && call_.segment_ids == nullptr)
      return rows.load_bytes(static_cast<const uint8_t*>(call_.maskable) + first_row * call_.row_length, num_rows);
    for (int64_t row = 0; row < num_rows; ++row) {
      const Scratch<Position>& s = scratches_[row];
      load_eligible(s, first_row + row);
      for (uint32_t word = 0; word < row_words(); ++word) {
        rows.eligible[word][row] = s.eligible[word];
        if (call_.segment_ids != nullptr) rows.segment_starts[word][row] = s.segment_starts[word];
      }
    }
  }

  // For laws that `rows` has no way with.
  template <class ShortRows>
  void cut_short_rows(ShortRows& rows, int64_t first_row, int64_t num_rows) const noexcept {
    alignas(64) uint32_t draws[2 * kPanelWords];  // room for a vector that ends past the panel
    const Scratch<Position>& s = scratches_[0];
    for (int64_t row = 0; row < num_rows; ++row) {
      if (rows.num_eligible(row) == 0) continue;
      const RowAddress address = address_of(first_row + row);
      panels_.draw(address, draws);
      for (uint32_t word = 0; word < row_words(); ++word) s.eligible[word] = rows.eligible[word][row];
      kernel_.cut_pieces(s, address, draws);
      for (uint32_t word = 0; word < row_words(); ++word) rows.cuts[word][row] = s.unit_cuts[word];
    }
  }

  template <class ShortRows>
  void write_short_row(const ShortRows& rows, int64_t row, int64_t lane) const noexcept {
    const Scratch<Position>& s = scratches_[lane];
    for (uint32_t word = 0; word < row_words(); ++word) {
      s.masked[word] = rows.masked_word(lane, word);
      s.span_starts[word] = rows.span_starts[word][lane];
    }
    writer_.write_row(s, row, address_of(row));
  }

  void cut_row(const Scratch<Position>& s, int64_t row, Member& member, const uint32_t* draws) noexcept {
    load_eligible(s, row);
    member.num_eligible = count_all(s.eligible, row_words());
    member.budget = budget_of(row, member.num_eligible);
    if (member.budget != 0) kernel_.cut_pieces(s, member.address, draws);
  }

  void prepare_row(const Scratch<Position>& s, Member& member, const uint32_t* draws) noexcept {
    if (member.budget != 0)
      member.prepared = kernel_.prepare_row(s, member.num_eligible, draws);
    else
      kernel_.leave_row(s);
  }

  uint32_t budget_of(int64_t row, uint32_t num_eligible) const noexcept {
    if (call_.ratio_e9 != 0) return budget_from_ratio(call_.ratio_e9, call_.budget_cap, num_eligible);
    const int64_t budget = call_.budgets != nullptr ? call_.budgets[row] : call_.budget;
    if (budget <= 0) return 0;  // the documented clamp for callers that cannot raise
    return budget < num_eligible ? static_cast<uint32_t>(budget) : num_eligible;
  }

  bool has_special() const noexcept { return call_.input_ids != nullptr && call_.num_special_ranges != 0; }

  // Whether eligible tokens are the nonzero bytes of `maskable`.
  bool loads_bytes() const noexcept {
    return call_.maskable_kind == MASKCORE_INT8 && call_.maskable != nullptr && !has_special();
  }

  // Fills eligible, unit_starts and segment_starts.
  void load_eligible(const Scratch<Position>& s, int64_t row) const noexcept {
    const uint32_t words = row_words();
    if (loads_bytes()) {
      Isa::nonzero_bits(static_cast<const uint8_t*>(call_.maskable) + row * call_.row_length, length_, s.eligible);
    } else {
      flag_maskable(s, row);
      if (has_special()) flag_special(s, row);
      Isa::nonzero_bits(s.flags, length_, s.eligible);
    }
    s.eligible[words] = 0;
    if (call_.segment_ids != nullptr)
      Isa::changed_bits(call_.segment_ids + row * call_.row_length, length_, s.segment_starts);
    if (call_.word_ids != nullptr) {
      Isa::word_start_bits(call_.word_ids + row * call_.row_length, length_, s.unit_starts);
      if (length_ % kWordBits != 0) s.unit_starts[words - 1] |= ~uint64_t{0} << (length_ % kWordBits);
      s.unit_starts[words] = s.unit_starts[words + 1] = ~uint64_t{0};
      kernel_.drop_broken_words(s);
    }
  }

  void flag_maskable(const Scratch<Position>& s, int64_t row) const noexcept {
    if (call_.maskable == nullptr) {
      memset(s.flags, 1, length_);
      return;
    }
    const int64_t offset = row * call_.row_length;
    switch (call_.maskable_kind) {
      case MASKCORE_INT16:
        return flag_nonzero<uint16_t>(static_cast<const uint16_t*>(call_.maskable) + offset, length_, 0xFFFFu, s.flags);
      case MASKCORE_INT32:
        return flag_nonzero<uint32_t>(static_cast<const uint32_t*>(call_.maskable) + offset, length_, ~0u, s.flags);
      case MASKCORE_FLOAT32:  // all but the sign: -0.0 is zero, denormals are not
        return flag_nonzero<uint32_t>(static_cast<const uint32_t*>(call_.maskable) + offset, length_, ~0u >> 1,
                                      s.flags);
      case MASKCORE_INT64:
        return flag_nonzero<uint64_t>(static_cast<const uint64_t*>(call_.maskable) + offset, length_, ~uint64_t{0},
                                      s.flags);
      case MASKCORE_FLOAT64:
        return flag_nonzero<uint64_t>(static_cast<const uint64_t*>(call_.maskable) + offset, length_, ~uint64_t{0} >> 1,
                                      s.flags);
      default:
        return flag_nonzero<uint8_t>(static_cast<const uint8_t*>(call_.maskable) + offset, length_, 0xFFu, s.flags);
    }
  }

  void flag_special(const Scratch<Position>& s, int64_t row) const noexcept {
    const int64_t offset = row * call_.row_length;
    if (call_.input_ids_kind == MASKCORE_INT16)
      clear_special(static_cast<const int16_t*>(call_.input_ids) + offset, length_, call_.special_ranges,
                    call_.num_special_ranges, s.flags);
    else if (call_.input_ids_kind == MASKCORE_INT32)
      clear_special(static_cast<const int32_t*>(call_.input_ids) + offset, length_, call_.special_ranges,
                    call_.num_special_ranges, s.flags);
    else
      clear_special(static_cast<const int64_t*>(call_.input_ids) + offset, length_, call_.special_ranges,
                    call_.num_special_ranges, s.flags);
  }

  const maskcore_call& call_;
  const int64_t group_rows_;
  const uint32_t length_;
  const KeySchedule keys_;
  const LengthLaw law_;
  const DrawPlan plan_;
  const typename Isa::FirstPanels panels_;
  RowKernel<Isa, Position, kWords> kernel_;
  const RowWriter<Isa, Position, kWords> writer_;
  Scratch<Position> scratches_[kMostGroupRows];
};

template <class Isa, class Position, uint32_t kWords>
int32_t mask_rows_as(const maskcore_call& call, int64_t first_row, int64_t stop_row) noexcept {
  const uint64_t num_bytes = Scratch<Position>::num_bytes(static_cast<uint32_t>(call.row_length));
  const int64_t group_rows = rows_in_group(call.row_length, stop_row - first_row);
  void* const memory = malloc(static_cast<uint64_t>(group_rows) * num_bytes + kWordBits);
  if (memory == nullptr) return MASKCORE_OUT_OF_MEMORY;
  const uintptr_t aligned = (reinterpret_cast<uintptr_t>(memory) + kWordBits - 1) / kWordBits * kWordBits;
  Batch<Isa, Position, kWords>(call, group_rows, reinterpret_cast<uint8_t*>(aligned)).mask_rows(first_row, stop_row);
  free(memory);
  return MASKCORE_OK;
}

// What every instruction set exports to dispatch.cpp.
template <class Isa>
int32_t mask_row_range(const maskcore_call& call, int64_t first_row, int64_t stop_row) noexcept {
  constexpr int64_t kMostForUint16 = 1 << 16;
  if (call.row_length > kMostForUint16) return mask_rows_as<Isa, uint32_t, 0>(call, first_row, stop_row);
  // The shortest rows are all overhead, so they have code of their own, without the loops over words.
  if (call.row_length > 0 && call.row_length <= kWordBits)
    return mask_rows_as<Isa, uint16_t, 1>(call, first_row, stop_row);
  return mask_rows_as<Isa, uint16_t, 0>(call, first_row, stop_row);
}

}  // namespace
}  // namespace maskcore

#endif  // MASKCORE_BATCH_HPP_
