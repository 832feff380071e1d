// SPDX-License-Identifier: MIT
// Paths of the mount, as text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace agentfs::paths {

// Absolute and without ".", ".." and empty parts; relative ones start at `cwd`. Never above "/".
std::string normalise(std::string_view path, std::string_view cwd = "/");
// "/workspaces/site/a/b" -> "site"; nothing for other paths, "/workspaces" included.
std::optional<std::string> workspace_of(std::string_view path);
// "/workspaces/site", "/home/anna".
bool is_whole_tree(std::string_view path);
// Of a whole tree: "site" of "/workspaces/site", and where it lies, "/workspaces".
std::string name_of(std::string_view root);
std::string top_of(std::string_view root);
// Below /home, /workspaces, /src/repos or /tmp, or one of these: what lies on the disk.
bool is_data(std::string_view path);
// Below a .git, which itself is not: of a normalised path.
bool is_in_repository(std::string_view path);
// A name for a text of a process's own context: "10-rules.md".
bool is_context_name(std::string_view name);

}  // namespace agentfs::paths
