// SPDX-License-Identifier: MIT
// libfuse, 3.14 to 3.18, and what differs between them: features are told by a word of 32 bits in
// the older ones, by functions in the newer.
#pragma once

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse_lowlevel.h>

#include <cstdint>

namespace agentfs::fuse {

// False where the host's kernel does not offer the feature.
template <class Connection>
bool want(Connection& connection, std::uint64_t feature) {
  if constexpr (requires { fuse_set_feature_flag(&connection, feature); }) {
    return fuse_set_feature_flag(&connection, feature);
  } else {
    const auto bit = static_cast<unsigned>(feature) & connection.capable;
    connection.want |= bit;
    return bit != 0;
  }
}

template <class Connection>
void want_not(Connection& connection, std::uint64_t feature) {
  if constexpr (requires { fuse_unset_feature_flag(&connection, feature); }) {
    fuse_unset_feature_flag(&connection, feature);
  } else {
    connection.want &= ~static_cast<unsigned>(feature);
  }
}

}  // namespace agentfs::fuse
