// SPDX-License-Identifier: MIT
// Names for what is set aside.
#pragma once

#include <string>

#include "base/file.h"

namespace agentfs {

// `base`, or that with the first number from 2 on that nothing has.
inline std::string free_path(const std::string& base) {
  std::string path = base;
  for (int number = 2; file::exists(path); ++number) path = fmt::format("{}-{}", base, number);
  return path;
}

}  // namespace agentfs
