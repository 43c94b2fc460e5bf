// SPDX-License-Identifier: Apache-2.0
// Records as plainly as they can be written: the oracle of test_records.cpp.
//
// Strings grow from the inside out, and checksums go bit by bit. Shares no code with csrc/.
#ifndef MASKCORE_TESTS_NATIVE_NAIVE_RECORDS_HPP_
#define MASKCORE_TESTS_NATIVE_NAIVE_RECORDS_HPP_

#include <cstdint>
#include <string>
#include <vector>

namespace maskcore_tests {

struct NaiveFeature {
  std::string name;
  int32_t kind;                  // MASKCORE_BYTES_LIST, ...
  std::vector<int64_t> numbers;  // of an int64 list
  std::string bytes;             // of the others, as they are stored
};

uint32_t naive_crc32c(const std::string& bytes);
std::string naive_message(const std::vector<NaiveFeature>& features);
std::string naive_record(const std::string& message);

}  // namespace maskcore_tests

#endif  // MASKCORE_TESTS_NATIVE_NAIVE_RECORDS_HPP_
