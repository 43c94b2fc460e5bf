// SPDX-License-Identifier: Apache-2.0
// Runs a sample on every instruction-set level and in several splits, and compares all of it with naive_kernel.hpp.
#ifndef MASKCORE_TESTS_NATIVE_CHECK_SAMPLE_HPP_
#define MASKCORE_TESTS_NATIVE_CHECK_SAMPLE_HPP_

#include <string>

#include "sample_call.hpp"

namespace maskcore_tests {

// What is wrong, or nothing. `num_threads` above 1 adds a run on that many threads.
std::string check_sample(const SampleCall& sample, int32_t num_threads);

// A call that must be refused, its outputs untouched.
std::string check_refused(const SampleCall& sample);

}  // namespace maskcore_tests

#endif  // MASKCORE_TESTS_NATIVE_CHECK_SAMPLE_HPP_
