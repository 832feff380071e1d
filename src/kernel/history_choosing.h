// SPDX-License-Identifier: MIT
// Which versions a path means that is restored or forgotten.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernel/history_keeper.h"
#include "kernel/seen_history.h"

namespace agentfs {

using Versions = std::vector<FileVersionRef>;

// Without a number: what is in the trash at or below the path, else its newest version. ENOENT with
// what there is.
Result<Versions> to_restore(const SeenHistory& history, const std::string& path,
                            std::optional<std::uint64_t> number);
// Those above the path that were removed, from the top down: without them a file would come back
// into ones with nobody's mode and owner. Each as it was when it went after what comes back,
// whatever has had its name since.
Versions directories_above(const SeenHistory& history, const std::string& root,
                           const std::string& path, const Versions& returning);
// Without a number: all at and below the path. ENOENT.
Result<Versions> to_forget(const SeenHistory& history, const std::string& path,
                           std::optional<std::uint64_t> number);
// What a file of several names held stays until the last of them is forgotten.
Forgetting forgetting_of(const History& history, const Versions& versions);

// What a restore has chosen: none of it is forgotten as long as this lives.
struct Chosen {
  Result<Versions> versions{};
  Versions above{};
  FileVersionRef newest{};  // of the path itself; null: it has none
  Hold kept{};
};
// In the look at the history. ENOENT also where all of it is being forgotten.
Chosen choose(const SeenHistory& history, VersionsInUse& in_use, const std::string& root,
              const std::string& path, std::optional<std::uint64_t> number);

}  // namespace agentfs
