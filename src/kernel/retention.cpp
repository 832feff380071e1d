// SPDX-License-Identifier: MIT
#include "kernel/retention.h"

namespace agentfs {
namespace {

// What stays so far, and how much that is.
struct Rest {
  std::vector<FileVersionRef> versions;
  std::uint64_t bytes = 0;

  void add(const FileVersionRef& version) {
    versions.push_back(version);
    bytes += held(*version);
  }
  static std::uint64_t held(const FileVersion& version) {
    return version.type == FileVersion::Type::file ? version.size : 0;
  }
};

// Oldest first, until what stays is no more than `most`.
void shrink(Rest& rest, std::uint64_t most, std::string_view reason, std::vector<Outlived>& gone) {
  std::size_t count = 0;
  for (; count < rest.versions.size() && rest.bytes > most; ++count) {
    rest.bytes -= Rest::held(*rest.versions[count]);
    gone.push_back({rest.versions[count], reason});
  }
  rest.versions.erase(rest.versions.begin(),
                      rest.versions.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace

std::vector<Outlived> outlived(const std::vector<FileVersionRef>& all, const Retention& limits,
                               const std::function<bool(const FileVersion&)>& is_ignored) {
  std::vector<Outlived> gone;
  Rest plain;
  Rest ignored;
  for (const FileVersionRef& version : all) {
    if (version->time <= limits.before) {
      gone.push_back({version, "age"});
    } else if (!is_ignored(*version)) {
      plain.add(version);
    } else if (version->time <= limits.ignored_before) {
      gone.push_back({version, "ignored"});
    } else {
      ignored.add(version);
    }
  }
  shrink(ignored, limits.ignored_bytes, "ignored", gone);
  const std::uint64_t room = limits.bytes > plain.bytes ? limits.bytes - plain.bytes : 0;
  shrink(ignored, room, "space", gone);
  shrink(plain, limits.bytes, "space", gone);
  return gone;
}

}  // namespace agentfs
