// SPDX-License-Identifier: MIT
#include "kernel/retention.h"

namespace agentfs {
namespace {

// What stays so far, and how much that is.
struct Rest {
  std::vector<FileVersionRef> versions;
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;

  void add(const FileVersionRef& version) {
    versions.push_back(version);
    if (version->type != FileVersion::Type::file) return;
    bytes += version->held;
    ++files;
  }
};

struct Most {
  std::uint64_t bytes = 0;
  std::uint64_t files = ~0ULL;

  Most without(const Rest& rest) const {
    return {bytes > rest.bytes ? bytes - rest.bytes : 0,
            files > rest.files ? files - rest.files : 0};
  }
};

// What is more by itself would have all others go in vain.
bool is_too_large(const FileVersion& version, std::uint64_t most) {
  return version.type == FileVersion::Type::file && version.held > most;
}

// Oldest first, until what stays is no more than `most`.
void shrink(Rest& rest, const Most& most, std::string_view reason, std::vector<Outlived>& gone) {
  std::size_t count = 0;
  for (; count < rest.versions.size(); ++count) {
    if (rest.bytes <= most.bytes && rest.files <= most.files) break;
    const FileVersionRef& version = rest.versions[count];
    gone.push_back({version, reason});
    if (version->type != FileVersion::Type::file) continue;
    rest.bytes -= version->held;
    --rest.files;
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
    } else if (is_too_large(*version, limits.bytes)) {
      gone.push_back({version, "space"});
    } else if (!is_ignored(*version)) {
      plain.add(version);
    } else if (version->time <= limits.ignored_before ||
               is_too_large(*version, limits.ignored_bytes)) {
      gone.push_back({version, "ignored"});
    } else {
      ignored.add(version);
    }
  }
  const Most most{limits.bytes, limits.files};
  shrink(ignored, {.bytes = limits.ignored_bytes}, "ignored", gone);
  shrink(ignored, most.without(plain), "space", gone);
  shrink(plain, most, "space", gone);
  return gone;
}

}  // namespace agentfs
