// SPDX-License-Identifier: MIT
#include "fs/vfs/data_guard.h"

#include <fcntl.h>

#include "base/read_at.h"
#include "base/text.h"

namespace agentfs::vfs {
namespace {

constexpr std::uint64_t kMostKept = std::uint64_t{16} << 20;  // bytes of a refused file

// All of a file that shall take another's place, for when it may not.
Result<std::string> whole_text(TreeStore& store, const TreeNode& file) {
  const struct stat attributes = TRY(store.attributes(file));
  const auto size = static_cast<std::uint64_t>(attributes.st_size);
  if (attributes.st_size < 0 || size > kMostKept) {
    return fail(EFBIG, "{} bytes are more than {}", size, kMostKept);
  }
  const auto opened = TRY(store.open(file, O_RDONLY, {}));
  return read_at(opened->descriptor(), 0, size);
}

}  // namespace

void DataTree::note_former(const TreeNodeRef& file, const std::string& path) {
  const WriteGuard* const guard = services_.guard();
  const bool is_of_use = guard != nullptr && (guard->watches() || guard->has_conditions());
  if (!is_of_use || file == nullptr || file->type() != S_IFREG) return;
  Lock lock(mutex_);
  if (nodes_.contains(file.get())) former_[file.get()] = path;
}

std::string DataTree::former_path(const TreeNode& file) {
  Lock lock(mutex_);
  const auto found = former_.find(&file);
  return found == former_.end() ? std::string() : found->second;
}

void forget_claims(DataTree& tree, const std::string& path) {
  WriteGuard* const guard = tree.services().guard();
  if (guard != nullptr && guard->has_claims()) guard->files_gone(path);
}

bool awaits_condition(DataTree& tree) {
  const WriteGuard* const guard = tree.services().guard();
  return guard != nullptr && guard->has_conditions();
}

void DataTree::drop_bytes(const NodeRef& file) const {
  const WriteGuard* const guard = services_.guard();
  const bool is_of_use = counts_generations_ || (guard != nullptr && guard->watches());
  if (is_of_use && drop_bytes_) (void)drop_bytes_(file);
}

DataGuard::DataGuard(Request& request, DataTree& tree, Region region)
    : request_(request), tree_(tree) {
  WriteGuard* const guard = tree.services().guard();
  if (guard == nullptr || region != Region::plain || request.tree().pid == 0) return;
  watches_ = guard->watches();
  if (watches_ || guard->has_conditions()) guard_ = guard;
}

DataGuard::~DataGuard() {
  if (is_done_ || guard_ == nullptr) return;
  for (const ClaimNumber claim : claims_) guard_->release_condition(claim);
}

Status DataGuard::meet(const std::string& path, const Publishing& how) {
  if (!guard_->has_conditions() || !guard_->has_condition(request_.caller(), path)) return ok();
  // Who has it open may have written since the generation that is hoped for.
  if (how.exists) TRY(tree_.tell_writes(path));
  Publishing by_thread = how;
  by_thread.thread = request_.tree().pid;
  const auto met = guard_->meet_condition(request_.caller(), path, by_thread);
  if (!met) {
    tree_.services().note_error(request_.caller(), path, met.error());
    return std::unexpected(met.error());
  }
  if (*met != ClaimNumber::none) claims_.push_back(*met);
  return ok();
}

Status DataGuard::check(Replacement attempt) {
  if (!watches_) return ok();
  Status allowed = guard_->may_replace(request_.caller(), attempt);
  if (!allowed) tree_.services().note_error(request_.caller(), attempt.path, allowed.error());
  return allowed;
}

Status DataGuard::replace(Replacement::Way way, const std::string& path, const Publishing& how) {
  TRY(meet(path, how));
  return check({.way = way, .path = path});
}

bool DataGuard::is_asked_at_open(int flags) const {
  if (guard_ == nullptr) return false;
  return (flags & O_TRUNC) != 0 || (watches_ && (flags & O_ACCMODE) != O_WRONLY);
}

Status DataGuard::begin_open(int flags) {
  if ((flags & O_TRUNC) == 0) return ok();
  ends_ = Ends::at_close;
  return replace(Replacement::Way::truncate, seen_, {.goes_on = true});
}

Status DataGuard::open(const Path& path, int flags) {
  if (!is_asked_at_open(flags)) return ok();
  if (watches_) sight_ = guard_->now();
  seen_ = path();
  is_published_ = (flags & O_TRUNC) != 0;
  return begin_open(flags);
}

// The host's kernel goes by the name that it knows until a rename or removal is answered.
Status DataGuard::open(const DataNode& file, int flags) {
  if (!is_asked_at_open(flags)) return ok();
  if (watches_) sight_ = guard_->now();  // first: who takes the name after that is newer
  seen_ = file.named_path();
  is_published_ = !seen_.empty() && (flags & O_TRUNC) != 0;
  if (seen_.empty()) {
    seen_ = tree_.former_path(file.file());
    sight_ = {};
  }
  return seen_.empty() ? ok() : begin_open(flags);
}

std::string DataGuard::last_path(const DataNode& file) const {
  const std::string path = file.named_path();
  return path.empty() ? tree_.former_path(file.file()) : path;
}

Status DataGuard::create(const DataNode& directory, const std::string& name) {
  if (guard_ == nullptr) return ok();
  if (tree_.store().lookup(directory.file(), name)) return ok();
  seen_ = fmt::format("{}/{}", directory.path(), name);
  is_published_ = true;
  return meet(seen_, {.exists = false});
}

Status DataGuard::write(const DataNode& node) {
  if (guard_ == nullptr || !guard_->has_conditions()) return ok();
  const std::string path = node.named_path();
  ends_ = Ends::when_told;
  return path.empty() ? ok() : meet(path, {.is_asked_again = false});
}

Status DataGuard::resize(const DataNode& node, const Resize& change) {
  if (guard_ == nullptr) return ok();
  const std::string path = change.by_path ? last_path(node) : node.named_path();
  if (path.empty()) return ok();
  if (!change.is_publishing) TRY(meet(path, {.is_asked_again = change.by_path}));
  if (change.after != 0 || change.before == 0) return ok();
  return check({.way = Replacement::Way::truncate, .path = path});
}

Status DataGuard::remove(const Path& path) {
  return guard_ == nullptr ? ok() : replace(Replacement::Way::remove, path());
}

Status DataGuard::rename(const DataNode& directory, const std::string& name, const DataNode& target,
                         const std::string& new_name, unsigned flags) {
  if (guard_ == nullptr) return ok();
  const auto source = tree_.store().lookup(directory.file(), name);
  const auto there = target.tree().store().lookup(target.file(), new_name);
  const bool is_directory =
      (source && source->node->type() == S_IFDIR) || (there && there->node->type() == S_IFDIR);
  const bool is_to_be_free = (flags & RENAME_NOREPLACE) != 0;
  if (!source || is_directory || (is_to_be_free && there)) return ok();
  const std::string path = fmt::format("{}/{}", target.path(), new_name);
  TRY(meet(path, {.exists = there.has_value()}));
  seen_ = path;
  is_published_ = true;
  if (!there) return ok();
  Replacement attempt{.way = Replacement::Way::rename, .path = path};
  if (source->node->type() == S_IFREG && (flags & RENAME_EXCHANGE) == 0) {
    attempt.text = [&] { return whole_text(tree_.store(), *source->node); };
  }
  TRY(check(std::move(attempt)));
  if ((flags & RENAME_EXCHANGE) == 0) return ok();
  return replace(Replacement::Way::rename, fmt::format("{}/{}", directory.path(), name));
}

void DataGuard::follow(const DataTree::Renamed& renamed) {
  const auto& [from, to, is_directory, is_exchange] = renamed;
  WriteGuard* const guard = tree_.services().guard();
  if (guard == nullptr || (!guard->has_claims() && !guard->has_conditions())) return;
  if (is_directory) return guard->directory_renamed(from, to, is_exchange);
  if (guard->has_claims()) guard->file_renamed(from, to, is_exchange);
}

Publication DataGuard::done() {
  is_done_ = true;
  if (watches_ && guard_ != nullptr && !seen_.empty()) {
    guard_->saw(request_.caller(), seen_, is_published_ ? guard_->now() : sight_);
  }
  if (claims_.empty() || ends_ == Ends::when_told) return {};
  Hold publishing = hold_until([guard = guard_, claims = claims_] {
    for (const ClaimNumber claim : claims) guard->end_publishing(claim);
  });
  if (ends_ != Ends::at_close) return {};
  return {std::move(publishing), request_.caller().host.pid};
}

}  // namespace agentfs::vfs
