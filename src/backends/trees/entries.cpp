// SPDX-License-Identifier: MIT
// Making, linking, removing and renaming entries.
#include <unistd.h>

#include <climits>
#include <cstdio>

#include "backends/trees/directory_tree.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

constexpr unsigned kRenameFlags = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;

}  // namespace

// Between the call and the look at what it made, someone else may have put another file under the
// name: then that one is answered, as a lookup a moment later would.
Result<TreeEntry> DirectoryTree::make(const TreeNode& parent, const std::string& name, mode_t mode,
                                      const TreeCaller& caller,
                                      const std::function<long(int, mode_t)>& call) {
  TRY(check_name(name));
  const Borrowed directory = TRY(table_->borrow(parent));
  const auto masked_call = [&] {
    const UmaskScope umask(caller.umask);
    return call(directory.get(), umask.masked(mode));
  };
  const int code = as_caller(daemon_, caller, masked_call, CallerScope::groups_for(mode));
  if (code != 0) return fail_errno(code, text::shown(name));
  return entry_at(directory, name);
}

Result<TreeEntry> DirectoryTree::make_node(const TreeNode& parent, const std::string& name,
                                           mode_t mode, dev_t device, const TreeCaller& caller) {
  return make(parent, name, mode, caller, [&](int directory, mode_t masked) {
    return ::mknodat(directory, name.c_str(), masked, device);
  });
}

Result<TreeEntry> DirectoryTree::make_directory(const TreeNode& parent, const std::string& name,
                                                mode_t mode, const TreeCaller& caller) {
  return make(parent, name, mode, caller, [&](int directory, mode_t masked) {
    return ::mkdirat(directory, name.c_str(), masked);
  });
}

Result<TreeEntry> DirectoryTree::make_link(const TreeNode& parent, const std::string& name,
                                           const std::string& target, const TreeCaller& caller) {
  if (target.find('\0') != std::string::npos) {
    return fail(EINVAL, "{}: a NUL in the target of a link", text::shown(name));
  }
  return make(parent, name, 0, caller, [&](int directory, mode_t) {
    return ::symlinkat(target.c_str(), directory, name.c_str());
  });
}

// By the descriptor's path and not by AT_EMPTY_PATH, for which an ordinary caller has no right.
Result<TreeEntry> DirectoryTree::link(const TreeNode& node, const TreeNode& parent,
                                      const std::string& name, const TreeCaller& caller) {
  TRY(check_name(name));
  const Borrowed fd = TRY(table_->borrow(node));
  const std::string path = fd.path();
  auto made = TRY(make(parent, name, 0, caller, [&](int directory, mode_t) {
    return ::linkat(AT_FDCWD, path.c_str(), directory, name.c_str(), AT_SYMLINK_FOLLOW);
  }));
  table_->keep_named(node);
  return made;
}

Status DirectoryTree::remove(const TreeNode& parent, const std::string& name, int flags,
                             const TreeCaller& caller, const TreeNode* known) {
  TRY(check_name(name));
  const Borrowed directory = TRY(table_->borrow(parent));
  Borrowed held;
  if (known != nullptr && table_->at(directory, name, *known)) {
    if (auto descriptor = table_->borrow(*known)) held = *std::move(descriptor);
  }
  UniqueFd victim = held ? UniqueFd() : open_victim(directory, name);
  const int code =
      as_caller(daemon_, caller, [&] { return ::unlinkat(directory.get(), name.c_str(), flags); });
  if (code != 0) return fail_errno(code, text::shown(name));
  if (held) {
    table_->keep_removed(*known, held);
  } else {
    table_->keep_removed(std::move(victim));
  }
  return ok();
}

UniqueFd DirectoryTree::open_victim(const Borrowed& directory, const std::string& name) {
  if (!table_->has_file_handles()) return UniqueFd();
  return table_->open_with_relief(
      [&] { return ::openat(directory.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC); });
}

Status DirectoryTree::unlink(const TreeNode& parent, const std::string& name,
                             const TreeCaller& caller) {
  return remove(parent, name, 0, caller, nullptr);
}

Status DirectoryTree::remove_directory(const TreeNode& parent, const std::string& name,
                                       const TreeCaller& caller) {
  return remove(parent, name, AT_REMOVEDIR, caller, nullptr);
}

Status DirectoryTree::rename(const TreeNode& from, const std::string& name, const TreeNode& to,
                             const std::string& new_name, unsigned flags,
                             const TreeCaller& caller) {
  TRY(check_name(name));
  TRY(check_name(new_name));
  if ((flags & ~kRenameFlags) != 0) {
    return fail(EINVAL,
                "{}: rename flags {:#x}; RENAME_NOREPLACE, RENAME_EXCHANGE and RENAME_WHITEOUT are "
                "known",
                text::shown(name), flags);
  }
  const Borrowed source = TRY(table_->borrow(from));
  const Borrowed target = TRY(table_->borrow(to));
  UniqueFd victim = may_replace(flags) ? open_victim(target, new_name) : UniqueFd();
  const int code = as_caller(daemon_, caller, [&] {
    return ::renameat2(source.get(), name.c_str(), target.get(), new_name.c_str(), flags);
  });
  if (code != 0) return fail_errno(code, fmt::format("{} to {}", text::shown(name), new_name));
  table_->keep_removed(std::move(victim));
  return ok();
}

// A name is left to it, so that its node needs no descriptor.
Status DirectoryTree::expel(const TreeNode& parent, const std::string& name, int directory,
                            const std::string& new_name, const TreeCaller& caller) {
  TRY(check_name(name));
  const Borrowed from = TRY(table_->borrow(parent));
  const int code = as_caller(daemon_, caller, [&] {
    return ::renameat2(from.get(), name.c_str(), directory, new_name.c_str(), RENAME_NOREPLACE);
  });
  return code == 0 ? ok() : fail_errno(code, text::shown(name));
}

}  // namespace agentfs::trees
