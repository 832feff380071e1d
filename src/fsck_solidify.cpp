// SPDX-License-Identifier: MIT
// What is hollow, or lent by an import, made complete before a copy of the state.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/forest.h"
#include "backends/imports/imports.h"
#include "base/directory.h"
#include "base/permissions.h"
#include "base/text.h"
#include "fsck_rows.h"

namespace agentfs::fsck {
namespace {

// Also of trees that no forest knows, in which files may be lent after a copy. One of which not all
// can be had, since a file there has changed since it was imported, stops no other.
Result<bool> solidify_trees(const std::string& trees, const std::string& hidden,
                            const Lender& lender) {
  const auto forest = TRY(open_forest(trees, hidden, {.lender = &lender}));
  const std::string_view kind = text::last_part(trees);
  std::size_t count = 0;
  bool done = true;
  for (const std::string& name : names_in(trees)) {
    if (name.starts_with(kHiddenTree)) continue;
    const TreeNodeRef tree = TRY(forest->tree(name)).node;
    if (tree->type() != S_IFDIR) continue;
    const Status filled = forest->solidify(*tree, true);
    if (filled) {
      ++count;
      continue;
    }
    done = false;
    print("FAIL", "solidify",
          fmt::format("{}/{}: {}. All else is there; what its source has no more is given up by "
                      "removing the file, or the workspace, in the mount",
                      kind, text::shown(name), filled.error().message));
  }
  print("ok", "solidify",
        fmt::format("{}: {} trees are plain directories; directories filled for that: {}", kind,
                    count, forest->counts().filled));
  return done;
}

// A kept file with its bytes, by its owner's bits where its mode has none.
Status fill_kept(const std::string& path, const Lender& lender) {
  struct stat its{};
  if (::lstat(path.c_str(), &its) != 0 || !S_ISREG(its.st_mode)) return ok();
  const UniqueFd kept(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!kept) return fail_errno(path);
  if (!lender.lends(kept.get())) return ok();
  constexpr mode_t kOpen = S_IRUSR | S_IWUSR;
  const bool is_root = ::geteuid() == 0;  // who keeps set-ID bits, too
  const bool is_closed = (its.st_mode & kOpen) != kOpen && !is_root;
  if (is_closed && ::chmod(path.c_str(), its.st_mode | kOpen) != 0) return fail_errno(path);
  const auto fill = [&]() -> Status {
    const UniqueFd file(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (!file) return fail_errno(path);
    const Lender::Lent from = TRY(lender.open(kept.get()));
    TRY(lender.fill(from, file.get()));
    TRY(lender.own(file.get()));
    const timespec times[] = {its.st_atim, its.st_mtim};
    return ::futimens(file.get(), times) == 0 ? ok() : fail_errno(path);
  };
  Status filled = fill();
  if (!is_root) ::chmod(path.c_str(), its.st_mode & kPermissions);
  return filled;
}

// What an import has of a file whose attributes alone were changed here: nobody reads it but who
// looks what has changed since, for whom a copy of the state without marks would have zeros.
void solidify_origins(const std::string& trees, const Lender& lender) {
  for (const std::string& name : names_in(trees)) {
    if (!name.starts_with(kHiddenTree)) continue;
    const UniqueFd top(
        ::open(fmt::format("{}/{}", trees, name).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!top) continue;
    walk_files(top.get(), [&](int directory, const std::string& file, const std::string& path) {
      const Status filled = fill_kept(fmt::format("/proc/self/fd/{}/{}", directory, file), lender);
      if (filled) return;
      print("note", "solidify",
            fmt::format("{}/{}: not known what it was when it was imported: {}", name,
                        text::shown(path), filled.error().message));
    });
  }
}

// What was removed or replaced of an import while that lent it.
bool solidify_past(const StateDirectory& state, const Lender& lender) {
  bool done = true;
  for (const std::string& group : names_in(state.file("past"))) {
    for (const std::string& name : names_in(state.file("past/" + group))) {
      const std::string below = fmt::format("past/{}/{}", group, name);
      const Status filled = fill_kept(state.file(below), lender);
      if (filled) continue;
      done = false;
      print("FAIL", "solidify", fmt::format("{}: {}", text::shown(below), filled.error().message));
    }
  }
  return done;
}

}  // namespace

bool solidify(const StateDirectory& state) {
  const auto imports = open_imports(state.file("imports"), state.file("trees/workspaces"), true);
  if (!imports) {
    print("FAIL", "solidify", imports.error().message);
    return false;
  }
  bool done = true;
  for (const ForestPaths& forest : forests(state)) {
    const auto filled = solidify_trees(forest.trees, forest.hidden, **imports);
    if (!filled) print("FAIL", "solidify", filled.error().message);
    done = done && filled.value_or(false);
    solidify_origins(forest.trees, **imports);
  }
  done = solidify_past(state, **imports) && done;
  if (const Status told = done ? (*imports)->set_astray(false) : ok(); !told) {
    print("FAIL", "solidify", told.error().message);
    return false;
  }
  return done;
}

}  // namespace agentfs::fsck
