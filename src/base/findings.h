// SPDX-License-Identifier: MIT
// What a look at something kept on the disk found.
#pragma once

#include <string>
#include <vector>

namespace agentfs {

// All are sentences, without a final period where they are one only.
struct Findings {
  std::string sum{};                    // what was looked at: "12 blobs, each has its hash"
  std::vector<std::string> problems{};  // what is not as it should be
  std::vector<std::string> notes{};     // what is worth saying and no damage
  bool whole() const { return problems.empty(); }
};

}  // namespace agentfs
