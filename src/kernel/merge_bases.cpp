// SPDX-License-Identifier: MIT
#include "kernel/merge_bases.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/forks.h"
#include "kernel/kernel.h"

namespace agentfs {
namespace {

std::string record_name(const TreeInfo& into, const TreeInfo& from) {
  return fmt::format("{}.{}", into.number, from.number);
}

std::string label_of(const TreeInfo& into) { return fmt::format("merged/{}", into.number); }

Result<TreeInfo> get_info(const Kernel& kernel, const std::string& root) {
  auto info = kernel.forks().info_of(root);
  if (info) return std::move(*info);
  return fail(ENOENT, "{}: is no tree that was forked, and no fork", root);
}

// The state that a record names, if it is one of the tree's still.
const SnapshotInfo* recorded(const std::string& file, const TreeInfo& from) {
  const auto text = file::read(file);
  const auto sequence = text ? text::number<std::uint64_t>(text::trim(*text)) : std::nullopt;
  if (!sequence) return nullptr;
  const SnapshotId id{from.number, *sequence};
  const auto found = std::ranges::find(from.snapshots, id, &SnapshotInfo::id);
  return found == from.snapshots.end() ? nullptr : &*found;
}

}  // namespace

std::string MergeBases::directory() const {
  return fmt::format("{}/merge-bases", kernel_.parts().state);
}

Result<SnapshotId> MergeBases::begin(const std::string& root, const std::string& from) {
  const TreeInfo into = TRY(get_info(kernel_, root));
  Forest& forest = *TRY(kernel_.forks().forest_of(from));
  return forest.snapshot(std::string(text::last_part(from)), label_of(into));
}

void MergeBases::drop(const std::string& from, SnapshotId state) {
  const auto forest = kernel_.forks().forest_of(from);
  if (!forest) return;
  if (const Status dropped = (*forest)->drop(state); !dropped) {
    log::warning("merge: a state of {} is kept for nothing: {}", from, dropped.error().message);
  }
}

Status MergeBases::set(const std::string& root, const std::string& from, SnapshotId state) {
  const TreeInfo into = TRY(get_info(kernel_, root));
  const TreeInfo other = TRY(get_info(kernel_, from));
  TRY(file::make_directories(directory(), 0700));
  TRY(file::replace(fmt::format("{}/{}", directory(), record_name(into, other)),
                    fmt::format("{}\n", state.sequence)));
  for (const SnapshotInfo& one : other.snapshots) {
    if (one.label == label_of(into) && one.id != state) drop(from, one.id);
  }
  return ok();
}

std::optional<SnapshotId> MergeBases::find(const std::string& root, const std::string& from) const {
  const auto into = kernel_.forks().info_of(root);
  const auto other = kernel_.forks().info_of(from);
  if (!into || !other) return std::nullopt;
  const auto* const there =
      recorded(fmt::format("{}/{}", directory(), record_name(*into, *other)), *other);
  const auto* const back =
      recorded(fmt::format("{}/{}", directory(), record_name(*other, *into)), *into);
  if (there == nullptr && back == nullptr) return std::nullopt;
  if (there == nullptr) return back->id;
  if (back == nullptr) return there->id;
  return there->time < back->time ? back->id : there->id;
}

Status MergeBases::forget(const std::string& root) {
  const auto info = kernel_.forks().info_of(root);
  if (!info || !file::exists(directory())) return ok();
  const std::string number = fmt::format("{}", info->number);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory(), error)) {
    const std::string name = entry.path().filename();
    const auto trees = text::split(name, '.');
    if (std::ranges::find(trees, number) == trees.end()) continue;
    if (::unlink(entry.path().c_str()) != 0 && errno != ENOENT)
      return fail_errno(entry.path().native());
  }
  return error ? fail_errno(error.value(), directory()) : ok();
}

}  // namespace agentfs
