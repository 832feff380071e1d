// SPDX-License-Identifier: MIT
// What the store and fsck begin with.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/trees/forest_disk.h"

namespace agentfs::trees {

// The directory of the trees and the hidden room beside it, without its lines.
struct ForestRoom {
  std::string path{};  // of the trees, canonical
  UniqueFd hidden{};   // O_PATH
  std::unique_ptr<ForestDisk> disk{};
  UniqueFd trash{};
};
// Makes what is missing.
Result<ForestRoom> open_room(const std::string& directory, const std::string& hidden,
                             const ForestOptions& options);

// Which directory of which disk the room is, is written in it when it is made ("here"). In a copy
// it is another one, and so is every directory that marks and records name: a copy of a state that
// has forks cannot be read. Answers ESTALE with a sentence then; for `look_only` nothing is
// written.
Status check_place(const ForestRoom& room, bool look_only);
// From now on the room is where it is.
Status set_place(const ForestRoom& room);

// What the root of a tree had at that state. ENOENT: nobody knows of it.
Result<Content> content_of(ForestDisk& disk, const SnapshotId& state);
// The mark of a tree, also of one that its owner, an ordinary user's daemon, has closed to itself.
Result<std::optional<TreeMark>> mark_of_tree(const ForestDisk& disk, const std::string& name);
// What the root of a fork reads as long as it is hollow; ENOENT where no record says that, as after
// a rollback.
Result<Content> forked_at(ForestDisk& disk, const Line& line);
// Whether the directory was the root of the line's tree at one of its snapshots.
bool names_root(const Line& line, const DirectoryKey& directory);
// The trees whose lines have been read, and which of them are there.
std::vector<TreeInfo> family_of(const ForestDisk& disk);
// Is that directory solid, or does its mark lead to what is known?
bool reads(ForestDisk& disk, const Spot& directory, const Content& known);

}  // namespace agentfs::trees
