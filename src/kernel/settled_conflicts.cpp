// SPDX-License-Identifier: MIT
// Conflicts that were ended by hand before anything was merged: what the next merge of the two
// knows of them, and where they lie while others are merged.
#include "kernel/settled_conflicts.h"

#include <unistd.h>

#include <algorithm>

#include "base/directory.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/conflict_records.h"
#include "kernel/forks.h"
#include "kernel/kernel.h"
#include "kernel/merge_rows.h"
#include "kernel/merges.h"
#include "kernel/paths.h"

namespace agentfs {
namespace {

// By which number a file is known, each state of a tree says for itself.
bool is_same_but_number(FileState known, const FileState& now) {
  known.device = now.device;
  known.inode = now.inode;
  return known == now;
}

// Earlier builds did not tell them.
bool has_same_attributes(const MergeConflict& settled, const MergeConflict& now) {
  return !settled.theirs_attributes.empty() && settled.theirs_attributes == now.theirs_attributes;
}

// What a directory holds is no part of it.
bool is_same_directory(const MergeConflict& settled, const MergeConflict& now) {
  return settled.theirs.is_directory() && settled.theirs.mode == now.theirs.mode &&
         has_same_attributes(settled, now);
}

// Each rebase makes the files of the host's anew: their numbers, and when they changed, are others.
bool is_alike(const FileState& known, const FileState& now) {
  if (known.mode != now.mode || known.special != now.special) return false;
  return known.is_directory() || (known.size == now.size && known.modified == now.modified);
}

bool is_same_of_host(const MergeConflict& settled, const MergeConflict& now) {
  const bool has_any = now.theirs.is_regular() || now.theirs.is_directory();
  return is_alike(settled.base, now.base) && is_alike(settled.theirs, now.theirs) &&
         (!has_any || has_same_attributes(settled, now));
}

// What theirs was taken to is no renamed file of ours' any more, and is asked for by its old name.
bool is_of_one(const MergeConflict& settled, const MergeConflict& now) {
  const bool is_same_base = !now.base_path.empty() && settled.base_path == now.base_path;
  return settled.path == now.path || is_same_base;
}

bool is_settled(const MergeConflict& settled, const MergeConflict& now, bool is_of_host) {
  if (!is_of_one(settled, now) || settled.theirs_path != now.theirs_path) return false;
  if (is_of_host) return is_same_of_host(settled, now);
  return settled.base == now.base &&
         (is_same_directory(settled, now) || is_same_but_number(settled.theirs, now.theirs));
}

// "workspaces.12.15": of conflicts of the tree 12 with 15; those of its last merge have no 15.
struct Aside {
  std::string top{};
  std::uint32_t into = 0;
  std::uint32_t from = 0;
};

std::optional<Aside> aside_in(std::string_view name) {
  const auto last = name.rfind('.');
  const auto middle = last == std::string_view::npos ? last : name.rfind('.', last - 1);
  if (middle == std::string_view::npos || middle == 0) return std::nullopt;
  const auto into = text::number<std::uint32_t>(name.substr(middle + 1, last - middle - 1));
  const auto from = text::number<std::uint32_t>(name.substr(last + 1));
  if (!into || !from) return std::nullopt;
  return Aside{fmt::format("/{}", name.substr(0, middle)), *into, *from};
}

std::string directory_of(const Kernel& kernel) {
  return fmt::format("{}/merge-conflicts", kernel.parts().state);
}

std::string file_of(const Kernel& kernel, const Aside& aside) {
  return fmt::format("{}/{}.{}.{}", directory_of(kernel), aside.top.substr(1), aside.into,
                     aside.from);
}

std::optional<std::string> file_of(const Kernel& kernel, const std::string& root,
                                   std::uint32_t from) {
  const auto info = kernel.forks().info_of(root);
  if (!info) return std::nullopt;
  return file_of(kernel, Aside{paths::top_of(root), info->number, from});
}

// They are asked for again then.
void warn(const std::string& root, const Error& why) {
  log::warning("{}: conflicts that were ended: {}", root, why.message);
}

void lay_aside(const Kernel& kernel, const std::string& root, const MergeConflictsRef& last) {
  if (last == nullptr || last->is_partial || last->settled.empty()) return;
  const auto file = file_of(kernel, root, last->from);
  if (!file) return;
  MergeConflicts ended = *last;
  ended.left.clear();
  if (const Status kept = file::replace(*file, stored(ended)); !kept) warn(root, kept.error());
}

}  // namespace

MergeConflictsRef settled_with(const Kernel& kernel, const std::string& root, std::uint32_t from,
                               const MergeConflictsRef& last) {
  if (last != nullptr && last->from == from) return last;
  lay_aside(kernel, root, last);
  const auto file = file_of(kernel, root, from);
  if (!file || !file::exists(*file)) return nullptr;
  const auto text = file::read(*file);
  auto ended = text ? conflicts_in(*text) : std::unexpected(text.error());
  if (ended) return std::make_shared<MergeConflicts>(*std::move(ended));
  warn(root, ended.error());
  return nullptr;
}

void drop_settled(const Kernel& kernel, const std::string& root, std::uint32_t from) {
  const auto file = file_of(kernel, root, from);
  if (file) ::unlink(file->c_str());
}

void drop_settled_of(const Kernel& kernel, const std::string& top, std::uint32_t tree) {
  const auto entries = list_if_there(directory_of(kernel));
  if (!entries) return warn(top, entries.error());
  for (const HostEntry& entry : *entries) {
    const auto aside = aside_in(entry.name);
    const bool is_its = aside && aside->top == top && (aside->into == tree || aside->from == tree);
    if (is_its) ::unlink(file_of(kernel, *aside).c_str());
  }
}

bool is_settled_file(std::string_view name) { return aside_in(name).has_value(); }

bool is_of_gone(const Kernel& kernel, std::string_view settled_file) {
  const auto aside = aside_in(settled_file);
  const auto forest = kernel.parts().forests.find(aside ? aside->top : std::string());
  if (forest == kernel.parts().forests.end()) return true;
  return !forest->second->info(aside->into) || !forest->second->info(aside->from);
}

// Of conflicts that were ended by hand since the last merge of the two was asked for, ours counts.
void Merges::leave_out_settled(const MergeConflictsRef& before, const std::string& other,
                               MergePlan& plan, MergeConflicts& left) {
  if (before == nullptr || before->from != left.from) return;
  left.settled = before->settled;
  left.ended_after = before->ended_after;
  std::erase_if(plan.conflicts, [&](const MergeConflict& conflict) {
    return std::ranges::any_of(left.settled, [&](const MergeConflict& one) {
      return is_settled(one, conflict, is_rebase(other));
    });
  });
}

}  // namespace agentfs
