// SPDX-License-Identifier: Apache-2.0
// Texts of errors, in the form of maskcore.errors.message. Fixed buffers: the ops use no C++ runtime.
#ifndef MASKCORE_TFSHIM_MESSAGE_HPP_
#define MASKCORE_TFSHIM_MESSAGE_HPP_

#include <stdint.h>
#include <stdio.h>

#include "tf_api.hpp"

namespace maskcore_tf {

// Why an op fails. Empty while nothing is wrong; the first refusal stays.
struct Failure {
  Code code = kOk;
  char text[768];

  Failure() noexcept { text[0] = '\0'; }

  void refuse(const char* argument, const char* constraint, const char* received, const char* remedy) noexcept {
    if (code != kOk) return;
    code = kInvalidArgument;
    snprintf(text, sizeof text, "%s must be %s, got %s; %s", argument, constraint, received, remedy);
  }

  void refuse(const char* argument, const char* constraint, int64_t received, const char* remedy) noexcept {
    char number[24];
    snprintf(number, sizeof number, "%lld", static_cast<long long>(received));
    refuse(argument, constraint, number, remedy);
  }

  void fail(Code why, const char* what) noexcept {
    if (code != kOk) return;
    code = why;
    snprintf(text, sizeof text, "%s", what);
  }

  bool has_failed() const noexcept { return code != kOk; }
};

// A tuple as Python prints it: "()", "(3,)", "(2, 3)".
struct TupleText {
  char text[200] = "(";

  template <class At>
  TupleText(int size, At at) noexcept {
    size_t used = 1;
    for (int i = 0; i < size && used + 24 < sizeof text; ++i)
      used += static_cast<size_t>(
          snprintf(text + used, sizeof text - used, i == 0 ? "%lld" : ", %lld", static_cast<long long>(at(i))));
    snprintf(text + used, sizeof text - used, size == 1 ? ",)" : ")");
  }
};

}  // namespace maskcore_tf

#endif  // MASKCORE_TFSHIM_MESSAGE_HPP_
