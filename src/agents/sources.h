// SPDX-License-Identifier: MIT
// The texts that a process's context is made of, found by walking profile, home, workspace and the
// process's own context.d, in that order, and by name within a directory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernel/kernel.h"

namespace agentfs::agents {

// One text, or one place where a text could be.
struct Source {
  std::string path;  // of the mount
  std::uint64_t bytes = 0;
  std::int64_t tokens = 0;  // estimated
  bool kept = false;
  std::string verdict;  // "kept", "dropped: …", "absent"
  std::string text;     // of a kept one
};

// Bytes / 4, rounded up.
std::int64_t estimated_tokens(std::uint64_t bytes);

// For whom they are: what the model is given its process has seen.
enum class Reader : char { model, person };

// Walks the sources and keeps, in order, those that fit into `budget` tokens. Reads only; a source
// that cannot be read is dropped with the reason, never an error.
std::vector<Source> gather_sources(Kernel& kernel, const Process& process, std::int64_t budget,
                                   Reader reader);

}  // namespace agentfs::agents
