// SPDX-License-Identifier: Apache-2.0
// docs/algorithm.md written down once more, as plainly as it goes: what every instruction-set level must give.
// Knows nothing of the kernel but its generator, which has known answers of its own.
#ifndef MASKCORE_TESTS_NATIVE_NAIVE_KERNEL_HPP_
#define MASKCORE_TESTS_NATIVE_NAIVE_KERNEL_HPP_

#include "sample_call.hpp"

namespace maskcore_tests {

Outputs expected_outputs(const SampleCall& sample);

}  // namespace maskcore_tests

#endif  // MASKCORE_TESTS_NATIVE_NAIVE_KERNEL_HPP_
