// SPDX-License-Identifier: MIT
// fs.read, fs.write, fs.list and fs.delete.
#include "kernel/syscalls/fs.h"

#include <algorithm>
#include <climits>

#include "base/text.h"
#include "kernel/paths.h"
#include "kernel/stale_writes.h"
#include "kernel/syscalls/values.h"

namespace agentfs::fs {
namespace {

Status check_path(const std::string& path) {
  if (path.size() >= PATH_MAX) {
    return fail(ENAMETOOLONG, "path: of {} bytes; up to {} would do", path.size(), PATH_MAX - 1);
  }
  if (!path.empty() && path.find('\0') == std::string::npos) return ok();
  return fail(EINVAL, "path: cannot be {}; a path of the mount would do", text::shown(path));
}

// Of a workspace or a home the history would go with it. Links lead to one, too, so that it is its
// directory that counts, not how the path is spelled.
Status check_part(Kernel& kernel, const Caller& caller, const std::string& path) {
  const std::string above(text::parent_part(path));
  const auto directory = kernel.paths().attributes(caller, above.empty() ? "/" : above);
  for (const std::string root : {"/workspaces", "/home"}) {
    const auto same = kernel.paths().attributes(caller, root);
    const bool is_root = directory && same && same->st_ino != 0 &&
                         directory->st_ino == same->st_ino && directory->st_dev == same->st_dev;
    if (above != root && !is_root) continue;
    return fail(EPERM,
                "{}: all of a {} is not deleted by a tool, its history would go with it; a file or "
                "directory in it would do",
                path, root == "/home" ? "home" : "workspace");
  }
  return ok();
}

}  // namespace

Result<std::string> run(Kernel& kernel, const Caller& caller, const Read& args) {
  TRY(check_path(args.path));
  const std::int64_t first = args.first_line.value_or(1);
  if (first < 1) {
    return fail(EINVAL, "first_line: out of range ({}); lines are counted from 1", first);
  }
  if (args.lines.value_or(1) < 1) {
    return fail(EINVAL, "lines: out of range ({}); 1 or more would do", *args.lines);
  }
  const std::string path = paths::normalise(args.path, values::cwd(kernel, caller));
  std::string whole = TRY(kernel.paths().read(caller, path, 0, 0));
  if (!args.first_line && !args.lines) return whole;
  const auto lines = text::lines(whole);
  const auto count = static_cast<std::int64_t>(lines.size());
  if (first > count && count != 0) {
    return fail(EINVAL, "{}: has no line {}; the file has {} lines", path, first, count);
  }
  const std::int64_t end =
      args.lines && *args.lines < count - first + 1 ? first + *args.lines - 1 : count;
  std::string result;
  for (std::int64_t i = first; i <= end; ++i) {
    result.append(lines[static_cast<std::size_t>(i - 1)]).append("\n");
  }
  if (first > 1 || end < count) {
    result += fmt::format("# lines {} to {}; the file has {} lines\n", first, end, count);
  }
  return result;
}

Result<std::string> run(Kernel& kernel, const Caller& caller, const Write& args) {
  TRY(check_path(args.path));
  if (args.text.size() > values::kMostText) {
    return fail(EMSGSIZE, "{}: {} bytes are too many; at most {} are written at once", args.path,
                args.text.size(), values::kMostText);
  }
  const std::string path = paths::normalise(args.path, values::cwd(kernel, caller));
  TRY(kernel.may_change(caller, path));
  const auto before = kernel.paths().attributes(caller, path);
  if (!before && before.error().code != ENOENT) return std::unexpected(before.error());
  TRY(kernel.paths().write(caller, path, args.text));
  if (kernel.stale_writes().was_merged(caller.process, path, args.text)) {
    return fmt::format(
        "wrote {}, merged with what another had changed since it was read; read it again\n", path);
  }
  return fmt::format("{} {}: {} bytes\n", before ? "wrote" : "created", path, args.text.size());
}

Result<std::string> run(Kernel& kernel, const Caller& caller, const List& args) {
  const std::string path = paths::normalise(args.path, values::cwd(kernel, caller));
  std::vector<NamespaceEntry> entries = TRY(kernel.paths().list(caller, path));
  std::ranges::sort(entries, {}, &NamespaceEntry::name);
  std::string result;
  for (const NamespaceEntry& entry : entries) {
    if (entry.name == "." || entry.name == "..") continue;
    if (S_ISDIR(entry.type)) {
      result += entry.name + "/\n";
    } else if (S_ISLNK(entry.type)) {
      result += entry.name + "@\n";
    } else {
      result += fmt::format("{}\t{}\n", entry.name, entry.size);
    }
  }
  return result;
}

Result<std::string> run(Kernel& kernel, const Caller& caller, const Delete& args) {
  TRY(check_path(args.path));
  const std::string path = paths::normalise(args.path, values::cwd(kernel, caller));
  TRY(kernel.may_change(caller, path));
  TRY(check_part(kernel, caller, path));
  TRY(kernel.paths().remove(caller, path));
  return fmt::format("deleted {}\n", path);
}

}  // namespace agentfs::fs
