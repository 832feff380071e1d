// SPDX-License-Identifier: MIT
// Numbers that name things, one type a kind, so that they cannot be mixed up.
#pragma once

#include <cstdint>
#include <functional>

namespace agentfs {

template <class Tag>
struct Id {
  std::uint64_t value = 0;  // 0 names nothing
  friend auto operator<=>(Id, Id) = default;
  explicit operator bool() const { return value != 0; }
};

using ProcessId = Id<struct ProcessTag>;  // an agent process; never reused
using Sequence = Id<struct SequenceTag>;  // the place of a record in the journal, from 1

}  // namespace agentfs

template <class Tag>
struct std::hash<agentfs::Id<Tag>> {
  std::size_t operator()(agentfs::Id<Tag> id) const noexcept {
    return std::hash<std::uint64_t>{}(id.value);
  }
};
