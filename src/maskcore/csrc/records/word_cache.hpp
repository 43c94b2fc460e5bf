// SPDX-License-Identifier: Apache-2.0
// A table from the chunks of text to their token ids, and how a text falls into chunks.
//
// Owns the cutting by a table of character classes, the hash table and its memory. It knows nothing of tokenizers:
// which characters are cut, and why that is exact, is decided by records/chunk_rule.py; the ids of a chunk come from
// outside.
#ifndef MASKCORE_RECORDS_WORD_CACHE_HPP_
#define MASKCORE_RECORDS_WORD_CACHE_HPP_

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

namespace maskcore {

// A vector of plain values without the C++ runtime: growing may fail and says so.
template <typename T>
class Array {
 public:
  Array() noexcept = default;
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { free(items_); }

  uint64_t size() const noexcept { return size_; }
  uint64_t size_bytes() const noexcept { return capacity_ * sizeof(T); }
  T* data() noexcept { return items_; }
  const T* data() const noexcept { return items_; }
  T& operator[](uint64_t i) noexcept { return items_[i]; }
  const T& operator[](uint64_t i) const noexcept { return items_[i]; }
  void clear() noexcept { size_ = 0; }

  // Gives the memory back, too.
  void release() noexcept {
    free(items_);
    items_ = nullptr;
    size_ = capacity_ = 0;
  }

  bool append(T item) noexcept {
    if (size_ == capacity_ && !reserve(size_ + 1)) return false;
    items_[size_++] = item;
    return true;
  }

  bool append(const T* items, uint64_t num_items) noexcept {
    if (size_ + num_items > capacity_ && !reserve(size_ + num_items)) return false;
    if (num_items != 0) memcpy(items_ + size_, items, num_items * sizeof(T));
    size_ += num_items;
    return true;
  }

  bool assign_zeros(uint64_t num_items) noexcept {
    size_ = 0;
    if (num_items > capacity_ && !reserve(num_items)) return false;
    memset(items_, 0, num_items * sizeof(T));
    size_ = num_items;
    return true;
  }

 private:
  bool reserve(uint64_t num_items) noexcept {
    uint64_t capacity = capacity_ < 64 ? 64 : capacity_ * 2;
    if (capacity < num_items) capacity = num_items;
    T* items = static_cast<T*>(realloc(items_, capacity * sizeof(T)));
    if (items == nullptr) return false;
    items_ = items;
    capacity_ = capacity;
    return true;
  }

  T* items_ = nullptr;
  uint64_t size_ = 0;
  uint64_t capacity_ = 0;
};

// How text is cut; see maskcore_word_cache.h.
struct ChunkRule {
  Array<uint8_t> classes;
  uint8_t cuts[8][8];
  uint32_t flags;
};

class WordCache {
 public:
  ChunkRule rule;

  bool split(const uint8_t* text, uint64_t num_bytes, uint64_t max_entries, uint64_t max_bytes) noexcept;
  bool fill(const int32_t* ids, uint64_t num_ids, const int64_t* lengths, uint64_t num_lengths) noexcept;
  bool gather(int32_t* ids, uint64_t num_ids, int64_t* lengths, uint64_t num_lengths) const noexcept;

  uint64_t num_sentences() const noexcept { return chunks_of_sentence_.size(); }
  uint64_t num_missing() const noexcept { return entries_.size() - num_filled_; }
  const uint8_t* missing_text(uint64_t* num_bytes) const noexcept;
  bool is_known() const noexcept { return num_missing() == 0; }
  bool count_tokens(uint64_t* num_tokens) const noexcept;

 private:
  struct Entry {
    uint32_t key_start, key_size;
    uint32_t ids_start, num_ids;
  };
  // The upper half of the hash, and the number of the entry plus one; 0 is free.
  struct Slot {
    uint32_t tag, entry;
  };

  void empty() noexcept;
  uint64_t size_bytes() const noexcept;
  bool add_text(const uint8_t* text, uint64_t num_bytes) noexcept;
  bool add_chunk(const uint8_t* key, uint64_t size) noexcept;
  bool grow() noexcept;

  Array<Slot> slots_;
  Array<Entry> entries_;
  Array<uint8_t> keys_;  // each with a line end behind it, so that those that are missing are a text of lines
  Array<int32_t> ids_;
  uint64_t num_filled_ = 0;             // entries from here on have no ids yet
  Array<uint32_t> chunks_;              // of the text that was split last: the entry of each
  Array<uint32_t> chunks_of_sentence_;  // and how many each sentence has
};

}  // namespace maskcore

#endif  // MASKCORE_RECORDS_WORD_CACHE_HPP_
