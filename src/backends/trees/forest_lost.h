// SPDX-License-Identifier: MIT
// Directories of a fork that were to be read from elsewhere and have lost the mark that says so.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backends/trees/forest_disk.h"

namespace agentfs::trees {

struct LostHollow {
  std::string path{};  // in the tree; "" is its root
  Source source{};     // what the mark said
  std::string path_in(const std::string& tree) const {
    return path.empty() ? tree : tree + "/" + path;
  }
};

// By which number that is shown which a hollow directory reads, where it is another than that of
// its own mark: then one of the two marks is another's, or gone.
std::optional<ino_t> other_number(ForestDisk& disk, const FileMark& mark, const Source& source);

// Of the tree of `line` that is `name` at the top: the directories of which their own mark says
// that they read, wherever they are by now, or that read another one, of another time of change,
// and which the states that the tree reads have under their number (and at their time); those that
// more than one state has with other entries are none, since nobody knows which. Where that was not
// told yet (by earlier builds) what has not been moved since the fork: an empty directory without a
// mark and with the very time of one at its place there that is not empty. Who empties a directory
// gives it another time. The lines are to be loaded. Costs a look at each solid directory of the
// tree and, of a fork, at its counterpart; where one is lost, at all directories of the states.
std::vector<LostHollow> find_lost_hollows(ForestDisk& disk, const Line& line,
                                          const std::string& name);

// Whether a directory of that one is read from elsewhere, from states of that line where one is
// named. Of a tree that was never forked or kept none is; since its last rollback a tree is another
// directory, which reads from its own line.
bool reads_from(ForestDisk& disk, int above, const std::string& name,
                std::optional<std::uint32_t> line = {});

}  // namespace agentfs::trees
