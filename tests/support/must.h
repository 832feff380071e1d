// SPDX-License-Identifier: MIT
// The value of a result that a test takes for granted.
#pragma once

#include <stdexcept>
#include <utility>

#include "base/error.h"

namespace agentfs::test {

// Throws where there is none, which fails the test and shows the error's sentence.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return *std::move(result);
}

}  // namespace agentfs::test
