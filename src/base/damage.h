// SPDX-License-Identifier: MIT
// What a disk does not give any more, and what fsck leaves of it.
#pragma once

#include <cerrno>
#include <string_view>

namespace agentfs {

// Whether a call was refused for what the disk has, and not for who asked or what there is room
// for.
constexpr bool is_damage(int code) { return code == EIO || code == EBADMSG || code == EUCLEAN; }

// What the name of a directory begins with that the disk does not give, and that so can have no
// place but beside where it was: to move it elsewhere changes what is in it. Nothing reads it.
inline constexpr std::string_view kDamagedName = ".agentfs-damaged-";

}  // namespace agentfs
