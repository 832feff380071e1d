// SPDX-License-Identifier: MIT
#include "fs/vfs/directory.h"

#include <algorithm>
#include <array>

#include "fs/vfs/readme.h"

namespace agentfs::vfs {

std::string_view name(Kind kind) {
  switch (kind) {
    case Kind::value:
      return "value";
    case Kind::setting:
      return "setting";
    case Kind::control:
      return "control";
    case Kind::reply:
      return "reply";
    case Kind::message:
      return "message";
    case Kind::wait:
      return "wait";
    case Kind::follow:
      return "follow";
    case Kind::link:
      return "link";
    case Kind::directory:
      return "directory";
    case Kind::collection:
      return "collection";
    case Kind::documents:
      return "documents";
    case Kind::data:
      return "data";
    case Kind::trees:
      return "trees";
  }
  return "value";
}

Result<std::string> unknown_verb(std::string_view word, const std::vector<std::string>& known,
                                 std::span<const RowInfo> files) {
  const auto named = std::ranges::find(files, word, &RowInfo::name);
  if (named != files.end()) {
    constexpr auto kDirectories = std::to_array(
        {Kind::directory, Kind::collection, Kind::documents, Kind::data, Kind::trees});
    const bool is_directory = std::ranges::find(kDirectories, named->kind) != kDirectories.end();
    return fail(EINVAL, "{0}: no such verb, but a name beside it: `{1} {0}` tells what it has",
                word, is_directory ? "ls" : "cat");
  }
  return fail(EINVAL, "{}: no such verb{}; {} would do, and {} tells of each", text::shown(word),
              text::did_you_mean(word, known), text::join(known, ", "), kReadme);
}

}  // namespace agentfs::vfs
