// SPDX-License-Identifier: MIT
#include "backends/trees/saved_directories.h"

#include <algorithm>
#include <charconv>

#include "base/hash.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

// The sum of a handle as it stands in a name; nothing: it is none.
std::optional<std::uint32_t> handle_in(std::string_view text) {
  std::uint32_t handle = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, handle, 16);
  return read.ec == std::errc() && read.ptr == end ? std::optional(handle) : std::nullopt;
}

}  // namespace

SavedDirectory SavedDirectory::of(const DirectoryKey& key) {
  if (key.handle.bytes.empty()) return {key.inode, 0};
  const std::uint64_t sum = fnv1a(key.handle.bytes);
  const auto folded = static_cast<std::uint32_t>(sum ^ (sum >> 32U));
  return {key.inode, std::max<std::uint32_t>(folded, 1)};
}

std::string SavedState::name() const {
  const std::string known = directory.handle == 0 ? "" : fmt::format(".{:x}", directory.handle);
  return fmt::format("past.{}.{}{}", directory.inode, sequence, known);
}

std::optional<SavedState> SavedState::parse(std::string_view name) {
  const auto parts = text::split(name, '.');
  if (parts[0] != "past" || parts.size() < 3 || parts.size() > 4) return std::nullopt;
  const auto inode = text::number<ino_t>(parts[1]);
  const auto sequence = text::number<std::uint64_t>(parts[2]);
  const auto handle = parts.size() == 4 ? handle_in(parts[3]) : std::uint32_t{0};
  if (!inode || !sequence || !handle) return std::nullopt;
  return SavedState{{*inode, *handle}, *sequence};
}

void SavedDirectories::remove(const SavedState& state) {
  const auto found = states_.find(state.directory);
  if (found == states_.end()) return;
  found->second.erase(state.sequence);
  if (found->second.empty()) states_.erase(found);
}

std::optional<SavedState> SavedDirectories::find(const DirectoryKey& directory,
                                                 std::uint64_t sequence) const {
  const SavedDirectory wanted = SavedDirectory::of(directory);
  std::optional<SavedState> first;
  for (auto each = states_.lower_bound({wanted.inode, 0});
       each != states_.end() && each->first.inode == wanted.inode; ++each) {
    const auto& [saved, sequences] = *each;
    if (saved.handle != wanted.handle && saved.handle != 0 && wanted.handle != 0) continue;
    const auto next = sequences.lower_bound(sequence);
    if (next == sequences.end() || (first && first->sequence < *next)) continue;
    first = SavedState{saved, *next};
  }
  return first;
}

bool SavedDirectories::has(const DirectoryKey& directory, std::uint64_t sequence) const {
  const auto found = find(directory, sequence);
  return found && found->sequence == sequence;
}

bool SavedDirectories::has_number(ino_t directory) const {
  const auto found = states_.lower_bound({directory, 0});
  return found != states_.end() && found->first.inode == directory;
}

}  // namespace agentfs::trees
