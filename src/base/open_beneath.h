// SPDX-License-Identifier: MIT
// Paths that others may change while they are followed.
#pragma once

#include <string>

#include "base/file.h"

namespace agentfs::file {

// What may lead out of the directory: nothing, or links that stay in it.
enum class Links { none, beneath };

// openat2(2): by no step of the path does it come out of the directory, nor to a magic link. Empty
// with errno: ELOOP where a link is in the way, EXDEV where one leads elsewhere. With Links::none
// the last step is none either. The descriptor is closed on exec.
UniqueFd open_beneath(int directory, const std::string& path, int flags, Links links = Links::none);
// A path of the host of which no step is a link, beneath nothing.
UniqueFd open_without_links(const std::string& path, int flags);

}  // namespace agentfs::file
