// SPDX-License-Identifier: Apache-2.0
// Cutting text into chunks, finding them in the table, and putting their ids in the order of the text.
//
// One pass over the bytes of the text; a chunk that is known costs a hash and, mostly, one look into the table. Results
// never depend on what the table holds: a chunk that is missing is asked for.
#include "word_cache.hpp"

#include <new>

#include "maskcore_word_cache.h"

namespace maskcore {
namespace {

constexpr uint64_t kFewestSlots = 1 << 12;
// Entries and arenas are addressed by 32 bits.
constexpr uint64_t kMostBytes = 0xFFFFFFFFu;

// The finalizer of MurmurHash3 (Appleby, smhasher, fmix64).
uint64_t mix(uint64_t h) noexcept {
  h = (h ^ (h >> 33)) * 0xFF51AFD7ED558CCDu;
  h = (h ^ (h >> 33)) * 0xC4CEB9FE1A85EC53u;
  return h ^ (h >> 33);
}

// Only speed depends on it.
uint64_t hash(const uint8_t* bytes, uint64_t size) noexcept {
  uint64_t h = size * 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio
  while (size > 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    h = (h ^ word) * 0x9E3779B97F4A7C15u;
    h ^= h >> 32;
    bytes += 8;
    size -= 8;
  }
  uint64_t last = 0;
  memcpy(&last, bytes, size);
  return mix(h ^ last);
}

struct Character {
  uint32_t kind;  // its class
  uint32_t size;
};

// What begins at `text`; a line end or the end of the text belongs to class 0, as does what is no UTF-8.
Character character_at(const ChunkRule& rule, const uint8_t* text, const uint8_t* end) noexcept {
  if (text >= end) return {0, 1};
  const uint32_t lead = *text;
  if (lead < 0x80) return {rule.classes[lead], 1};
  const uint32_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC0 || static_cast<uint64_t>(end - text) < size) return {0, 1};
  uint32_t code = lead & (0x7Fu >> size);
  for (uint32_t i = 1; i < size; ++i) {
    if ((text[i] & 0xC0) != 0x80) return {0, 1};
    code = (code << 6) | (text[i] & 0x3Fu);
  }
  return {code < rule.classes.size() ? rule.classes[code] : 0u, size};
}

}  // namespace

void WordCache::empty() noexcept {
  slots_.release();
  entries_.release();
  keys_.release();
  ids_.release();
  num_filled_ = 0;
}

uint64_t WordCache::size_bytes() const noexcept {
  return slots_.size_bytes() + entries_.size_bytes() + keys_.size_bytes() + ids_.size_bytes();
}

bool WordCache::grow() noexcept {
  const uint64_t num_slots = slots_.size() == 0 ? kFewestSlots : slots_.size() * 2;
  if (!slots_.assign_zeros(num_slots)) return false;
  for (uint64_t e = 0; e < entries_.size(); ++e) {
    const uint64_t h = hash(keys_.data() + entries_[e].key_start, entries_[e].key_size);
    uint64_t s = h & (num_slots - 1);
    while (slots_[s].entry != 0) s = (s + 1) & (num_slots - 1);
    slots_[s] = {static_cast<uint32_t>(h >> 32), static_cast<uint32_t>(e + 1)};
  }
  return true;
}

bool WordCache::add_chunk(const uint8_t* key, uint64_t size) noexcept {
  if (entries_.size() * 2 >= slots_.size() && !grow()) return false;
  const uint64_t h = hash(key, size), last_slot = slots_.size() - 1;
  const uint32_t tag = static_cast<uint32_t>(h >> 32);
  uint64_t s = h & last_slot;
  for (; slots_[s].entry != 0; s = (s + 1) & last_slot) {
    if (slots_[s].tag != tag) continue;
    const uint32_t e = slots_[s].entry - 1;
    if (entries_[e].key_size == size && memcmp(keys_.data() + entries_[e].key_start, key, size) == 0) {
      return chunks_.append(e);
    }
  }
  if (keys_.size() + size + 1 > kMostBytes || entries_.size() + 1 >= kMostBytes) return false;
  const uint32_t number = static_cast<uint32_t>(entries_.size());
  const uint32_t start = static_cast<uint32_t>(keys_.size());
  if (!entries_.append({start, static_cast<uint32_t>(size), 0, 0})) return false;
  if (!keys_.append(key, size) || !keys_.append('\n') || !chunks_.append(number)) return false;
  slots_[s] = {tag, number + 1};
  return true;
}

bool WordCache::split(const uint8_t* text, uint64_t num_bytes, uint64_t max_entries, uint64_t max_bytes) noexcept {
  // What an interrupted caller left without ids is asked for again.
  if (entries_.size() > max_entries || size_bytes() > max_bytes) empty();
  if (add_text(text, num_bytes)) return true;
  empty();  // without memory an entry may lack its key or its slot
  chunks_.release();
  chunks_of_sentence_.release();
  return false;
}

bool WordCache::add_text(const uint8_t* text, uint64_t num_bytes) noexcept {
  chunks_.clear();
  chunks_of_sentence_.clear();
  const bool drops_space = (rule.flags & MASKCORE_CHUNKS_DROP_SPACE) != 0;
  const bool joins_spaces = (rule.flags & MASKCORE_CHUNKS_JOIN_SPACES) != 0;
  const uint8_t* const end = text + num_bytes;
  const uint8_t *start = text, *at = text;
  uint64_t first_chunk = 0;
  uint32_t before = 0;
  while (at < end) {
    if (*at == '\n') {
      if (start < at && !add_chunk(start, static_cast<uint64_t>(at - start))) return false;
      if (!chunks_of_sentence_.append(static_cast<uint32_t>(chunks_.size() - first_chunk))) return false;
      first_chunk = chunks_.size();
      start = ++at;
      before = 0;
      continue;
    }
    if (*at == ' ') {
      const uint8_t* next = at + 1;
      while (joins_spaces && next < end && *next == ' ') ++next;
      const bool is_cut = before != 0 && character_at(rule, next, end).kind != 0;
      if (is_cut) {
        if (!add_chunk(start, static_cast<uint64_t>(at - start))) return false;
        start = drops_space ? next : at;
      }
      at = next;
      before = 0;
      continue;
    }
    const Character character = character_at(rule, at, end);
    if (rule.cuts[before][character.kind] != 0) {
      if (!add_chunk(start, static_cast<uint64_t>(at - start))) return false;
      start = at;
    }
    before = character.kind;
    at += character.size;
  }
  return true;
}

const uint8_t* WordCache::missing_text(uint64_t* num_bytes) const noexcept {
  const uint64_t start = num_missing() == 0 ? keys_.size() : entries_[num_filled_].key_start;
  *num_bytes = keys_.size() - start;
  return keys_.data() + start;
}

bool WordCache::fill(const int32_t* ids, uint64_t num_ids, const int64_t* lengths, uint64_t num_lengths) noexcept {
  uint64_t total = 0;
  if (num_lengths != num_missing() || ids_.size() + num_ids > kMostBytes) return false;
  for (uint64_t i = 0; i < num_lengths; ++i) {
    if (lengths[i] < 0 || static_cast<uint64_t>(lengths[i]) > num_ids - total) return false;
    total += static_cast<uint64_t>(lengths[i]);
  }
  uint64_t start = ids_.size();
  if (total != num_ids || !ids_.append(ids, num_ids)) return false;
  for (uint64_t i = 0; i < num_lengths; ++i) {
    Entry& entry = entries_[num_filled_++];
    entry.ids_start = static_cast<uint32_t>(start);
    entry.num_ids = static_cast<uint32_t>(lengths[i]);
    start += entry.num_ids;
  }
  return true;
}

bool WordCache::count_tokens(uint64_t* num_tokens) const noexcept {
  if (!is_known()) return false;
  *num_tokens = 0;
  for (uint64_t i = 0; i < chunks_.size(); ++i) *num_tokens += entries_[chunks_[i]].num_ids;
  return true;
}

bool WordCache::gather(int32_t* ids, uint64_t num_ids, int64_t* lengths, uint64_t num_lengths) const noexcept {
  if (!is_known() || num_lengths != num_sentences()) return false;
  uint64_t chunk = 0, written = 0;
  for (uint64_t sentence = 0; sentence < num_lengths; ++sentence) {
    const uint64_t begin = written;
    for (uint32_t i = 0; i < chunks_of_sentence_[sentence]; ++i) {
      const Entry& entry = entries_[chunks_[chunk++]];
      if (entry.num_ids > num_ids - written) return false;
      const int32_t* of_chunk = ids_.data() + entry.ids_start;
      for (uint32_t t = 0; t < entry.num_ids; ++t) ids[written + t] = of_chunk[t];
      written += entry.num_ids;
    }
    lengths[sentence] = static_cast<int64_t>(written - begin);
  }
  return written == num_ids;
}

}  // namespace maskcore

struct maskcore_word_cache {
  maskcore::WordCache cache;
};

namespace {

uint64_t size(int64_t n) { return static_cast<uint64_t>(n); }

}  // namespace

maskcore_word_cache* maskcore_word_cache_open(const maskcore_chunk_rule* rule) {
  if (rule == nullptr || rule->classes == nullptr || rule->cuts == nullptr || rule->num_classes < 128) return nullptr;
  for (int64_t i = 0; i < rule->num_classes; ++i) {
    if (rule->classes[i] > 7) return nullptr;
  }
  void* memory = malloc(sizeof(maskcore_word_cache));
  if (memory == nullptr) return nullptr;
  auto* cache = new (memory) maskcore_word_cache;  // not the allocating one, which is of the C++ runtime
  if (!cache->cache.rule.classes.append(rule->classes, size(rule->num_classes))) {
    maskcore_word_cache_close(cache);
    return nullptr;
  }
  memcpy(cache->cache.rule.cuts, rule->cuts, sizeof(cache->cache.rule.cuts));
  cache->cache.rule.flags = rule->flags;
  return cache;
}

void maskcore_word_cache_close(maskcore_word_cache* cache) {
  if (cache == nullptr) return;
  cache->~maskcore_word_cache();
  free(cache);
}

int32_t maskcore_word_cache_split(maskcore_word_cache* cache, const uint8_t* text, int64_t num_bytes,
                                  int64_t max_entries, int64_t max_bytes, maskcore_split_text* found) {
  if (num_bytes < 0 || max_entries < 0 || max_bytes < 0) return MASKCORE_WORD_CACHE_BAD_CALL;
  if (!cache->cache.split(text, size(num_bytes), size(max_entries), size(max_bytes))) {
    return MASKCORE_WORD_CACHE_OUT_OF_MEMORY;
  }
  uint64_t missing_bytes = 0;
  found->missing = cache->cache.missing_text(&missing_bytes);
  found->missing_bytes = static_cast<int64_t>(missing_bytes);
  found->num_missing = static_cast<int64_t>(cache->cache.num_missing());
  found->num_sentences = static_cast<int64_t>(cache->cache.num_sentences());
  return MASKCORE_WORD_CACHE_OK;
}

int32_t maskcore_word_cache_fill(maskcore_word_cache* cache, const int32_t* ids, int64_t num_ids,
                                 const int64_t* lengths, int64_t num_lengths, int64_t* num_tokens) {
  if (num_ids < 0 || num_lengths < 0) return MASKCORE_WORD_CACHE_BAD_CALL;
  uint64_t count = 0;
  if (!cache->cache.fill(ids, size(num_ids), lengths, size(num_lengths)) || !cache->cache.count_tokens(&count)) {
    return MASKCORE_WORD_CACHE_BAD_CALL;
  }
  *num_tokens = static_cast<int64_t>(count);
  return MASKCORE_WORD_CACHE_OK;
}

int32_t maskcore_word_cache_gather(const maskcore_word_cache* cache, int32_t* ids, int64_t num_ids, int64_t* lengths,
                                   int64_t num_lengths) {
  if (num_ids < 0 || num_lengths < 0) return MASKCORE_WORD_CACHE_BAD_CALL;
  const bool is_done = cache->cache.gather(ids, size(num_ids), lengths, size(num_lengths));
  return is_done ? MASKCORE_WORD_CACHE_OK : MASKCORE_WORD_CACHE_BAD_CALL;
}
