// SPDX-License-Identifier: Apache-2.0
// The test program of the word cache's C ABI, for the sanitizers: texts of every kind, invalid UTF-8 included, in
// buffers of exactly their size, against a cutter that looks at decoded characters. Python's tests hold it against
// tokenizers.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "choices.hpp"
#include "maskcore_word_cache.h"

namespace maskcore_tests {
namespace {

constexpr int64_t kNumClasses = 0x3000;
constexpr uint8_t kSpace = 255;  // of the plain cutter alone

struct Character {
  std::string bytes;
  uint8_t kind;
};

struct Rule {
  std::vector<uint8_t> classes, cuts;
  uint32_t flags = 0;

  explicit Rule(Choices& choices) : classes(kNumClasses), cuts(64) {
    for (uint8_t& kind : classes) kind = static_cast<uint8_t>(choices.between(0, 3));
    classes[' '] = classes['\n'] = 0;
    for (size_t a = 1; a < 8; ++a) {
      for (size_t b = 1; b < 8; ++b) cuts[8 * a + b] = choices.one_in(3) ? 1 : 0;
    }
    flags = static_cast<uint32_t>(choices.between(0, 3));
  }
};

std::vector<Character> sentence_of(const Rule& rule, Choices& choices) {
  std::vector<Character> characters;
  const int64_t length = choices.between(0, 30);
  for (int64_t i = 0; i < length; ++i) {
    switch (choices.between(0, 6)) {
      case 0:
      case 1:
        characters.push_back({" ", kSpace});
        break;
      case 2: {
        const auto code = static_cast<uint32_t>(choices.between(0x80, 0x7FF));
        const char bytes[] = {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
        characters.push_back({std::string(bytes, 2), rule.classes[code]});
        break;
      }
      case 3: {
        const auto code = static_cast<uint32_t>(choices.between(0x800, 0xD7FF));
        const char bytes[] = {static_cast<char>(0xE0 | (code >> 12)), static_cast<char>(0x80 | ((code >> 6) & 0x3F)),
                              static_cast<char>(0x80 | (code & 0x3F))};
        characters.push_back({std::string(bytes, 3), code < kNumClasses ? rule.classes[code] : uint8_t{0}});
        break;
      }
      case 4:  // no UTF-8, whatever stands behind it
        characters.push_back({choices.one_in(2) ? "\xFF" : "\x80", 0});
        break;
      default: {
        const auto code = static_cast<uint8_t>(choices.between('a', 'e'));
        characters.push_back({std::string(1, static_cast<char>(code)), rule.classes[code]});
      }
    }
  }
  return characters;
}

// The rule of maskcore_word_cache.h, on characters.
std::vector<std::string> chunks_of(const Rule& rule, const std::vector<Character>& text) {
  std::vector<std::string> chunks;
  std::string chunk;
  const auto kind_at = [&](size_t i) { return i < text.size() && text[i].kind != kSpace ? text[i].kind : uint8_t{0}; };
  for (size_t i = 0; i < text.size(); ++i) {
    const uint8_t before = i == 0 ? uint8_t{0} : kind_at(i - 1);
    if (text[i].kind == kSpace) {
      size_t next = i + 1;
      while ((rule.flags & MASKCORE_CHUNKS_JOIN_SPACES) != 0 && next < text.size() && text[next].kind == kSpace) ++next;
      const bool is_cut = before != 0 && kind_at(next) != 0;
      if (is_cut) {
        chunks.push_back(chunk);
        chunk.clear();
      }
      if (!is_cut || (rule.flags & MASKCORE_CHUNKS_DROP_SPACE) == 0) chunk.append(next - i, ' ');
      i = next - 1;
      continue;
    }
    if (rule.cuts[8u * before + text[i].kind] != 0) {
      chunks.push_back(chunk);
      chunk.clear();
    }
    chunk += text[i].bytes;
  }
  if (!chunk.empty()) chunks.push_back(chunk);
  return chunks;
}

// What stands for the tokenizer: none to three ids that depend on the chunk.
std::vector<int32_t> ids_of(const std::string& chunk) {
  uint32_t hash = 2166136261u;  // FNV-1a
  for (const char byte : chunk) hash = (hash ^ static_cast<uint8_t>(byte)) * 16777619u;
  std::vector<int32_t> ids(hash % 4);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>((hash >> 8) + i);
  return ids;
}

template <typename T>
std::unique_ptr<T[]> exactly(const std::vector<T>& items) {
  std::unique_ptr<T[]> made(new T[items.size()]);
  for (size_t i = 0; i < items.size(); ++i) made[i] = items[i];
  return made;
}

// Fills what is missing; false if a chunk is asked for twice, or a call fails.
bool fill(maskcore_word_cache* cache, const maskcore_split_text& found, int64_t* num_tokens) {
  std::vector<int32_t> ids;
  std::vector<int64_t> lengths;
  std::vector<std::string> seen;
  std::string chunk;
  for (int64_t i = 0; i < found.missing_bytes; ++i) {
    if (found.missing[i] != '\n') {
      chunk += static_cast<char>(found.missing[i]);
      continue;
    }
    for (const std::string& other : seen) {
      if (other == chunk) return false;
    }
    const std::vector<int32_t> of_chunk = ids_of(chunk);
    ids.insert(ids.end(), of_chunk.begin(), of_chunk.end());
    lengths.push_back(static_cast<int64_t>(of_chunk.size()));
    seen.push_back(chunk);
    chunk.clear();
  }
  return static_cast<int64_t>(lengths.size()) == found.num_missing &&
         maskcore_word_cache_fill(cache, exactly(ids).get(), static_cast<int64_t>(ids.size()), exactly(lengths).get(),
                                  static_cast<int64_t>(lengths.size()), num_tokens) == MASKCORE_WORD_CACHE_OK;
}

bool encodes_like_the_plain_cutter(maskcore_word_cache* cache, const Rule& rule, Choices& choices) {
  std::vector<uint8_t> text;
  std::vector<int32_t> expected_ids;
  std::vector<int64_t> expected_lengths;
  const int64_t num_sentences = choices.between(0, 12);
  for (int64_t s = 0; s < num_sentences; ++s) {
    const std::vector<Character> sentence = sentence_of(rule, choices);
    for (const Character& character : sentence) text.insert(text.end(), character.bytes.begin(), character.bytes.end());
    text.push_back('\n');
    const size_t before = expected_ids.size();
    for (const std::string& chunk : chunks_of(rule, sentence)) {
      const std::vector<int32_t> ids = ids_of(chunk);
      expected_ids.insert(expected_ids.end(), ids.begin(), ids.end());
    }
    expected_lengths.push_back(static_cast<int64_t>(expected_ids.size() - before));
  }
  maskcore_split_text found;
  const int64_t max_entries = choices.one_in(4) ? choices.between(0, 20) : 1 << 20;
  if (maskcore_word_cache_split(cache, exactly(text).get(), static_cast<int64_t>(text.size()), max_entries, 1 << 20,
                                &found) != MASKCORE_WORD_CACHE_OK) {
    return false;
  }
  if (choices.one_in(10)) return true;  // interrupted: what has no ids must not be known to the next call
  int64_t num_tokens = 0;
  if (!fill(cache, found, &num_tokens) || found.num_sentences != num_sentences) return false;
  std::vector<int32_t> ids(static_cast<size_t>(num_tokens));
  std::vector<int64_t> lengths(static_cast<size_t>(num_sentences));
  return maskcore_word_cache_gather(cache, ids.data(), num_tokens, lengths.data(), num_sentences) ==
             MASKCORE_WORD_CACHE_OK &&
         ids == expected_ids && lengths == expected_lengths;
}

bool refuses_bad_rules() {
  Choices choices(1);
  Rule rule(choices);
  maskcore_chunk_rule c_rule = {rule.classes.data(), 127, rule.cuts.data(), 0};
  bool refused = maskcore_word_cache_open(nullptr) == nullptr && maskcore_word_cache_open(&c_rule) == nullptr;
  c_rule.num_classes = kNumClasses;
  rule.classes.back() = 8;
  refused = refused && maskcore_word_cache_open(&c_rule) == nullptr;
  maskcore_word_cache_close(nullptr);
  return refused;
}

}  // namespace
}  // namespace maskcore_tests

int main() {
  using namespace maskcore_tests;
  int num_failed = refuses_bad_rules() ? 0 : 1;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Choices choices(seed);
    const Rule rule(choices);
    const maskcore_chunk_rule c_rule = {exactly(rule.classes).release(), kNumClasses, rule.cuts.data(), rule.flags};
    maskcore_word_cache* cache = maskcore_word_cache_open(&c_rule);
    delete[] c_rule.classes;  // it keeps a copy
    for (int text = 0; text < 20; ++text) {
      if (cache == nullptr || !encodes_like_the_plain_cutter(cache, rule, choices)) {
        std::printf("FAILED seed %d, text %d\n", static_cast<int>(seed), text);
        ++num_failed;
        break;
      }
    }
    maskcore_word_cache_close(cache);
  }
  std::printf("%s\n", num_failed == 0 ? "word cache: 300 seeds passed" : "word cache: failed");
  return num_failed == 0 ? 0 : 1;
}
