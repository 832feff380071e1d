// SPDX-License-Identifier: MIT
// Folds of overlays carried out.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <ranges>
#include <thread>

#include "backends/compare/comparing.h"
#include "backends/compare/fold_plan.h"
#include "backends/compare/staging.h"
#include "backends/tree_xattrs.h"
#include "base/directory.h"
#include "base/nanoseconds.h"
#include "base/open_beneath.h"
#include "base/text.h"

namespace agentfs {
namespace {

using namespace compare;
using Piece = FoldPiece::Kind;

constexpr std::chrono::seconds kLongestUse{10};

bool is_there(int directory, const std::string& name) {
  struct stat state{};
  return ::fstatat(directory, name.c_str(), &state, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<UniqueFd> open_directory(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno(path);
  return fd;
}

// Makes an overlay that is mounted nowhere, and lets it go.
bool is_in_use(const OverlayLeft& left) {
  const UniqueFd overlay(::fsopen("overlay", FSOPEN_CLOEXEC));
  if (!overlay) return false;
  const auto set = [&](const char* key, const std::string& value) {
    return ::fsconfig(overlay.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0;
  };
  const auto upper = open_directory(left.upper);
  const auto work = open_directory(left.work);
  const auto lower = open_directory(left.lower);
  if (!upper || !work || !lower) return false;
  const auto path = [](const UniqueFd& fd) { return fmt::format("/proc/self/fd/{}", fd.get()); };
  const bool is_ready = set("lowerdir", path(*lower)) && set("upperdir", path(*upper)) &&
                        set("workdir", path(*work)) && set("index", "on") &&
                        set("redirect_dir", "on");
  if (!is_ready) return false;
  const int made = ::fsconfig(overlay.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
  return made != 0 && errno == EBUSY;
}

// The pieces of one fold on their way between the overlay's directories and the tree's staging.
class Carrier {
 public:
  static Result<Carrier> open(const TreeSide& ours, const OverlayLeft& left, TreeNodeRef staging) {
    Carrier carrier(ours, std::move(staging));
    carrier.upper_ = TRY(open_directory(left.upper));
    carrier.aside_ = TRY(open_directory(left.aside));
    if (::access((left.work + "/index").c_str(), F_OK) == 0) {
      carrier.index_ = TRY(open_directory(left.work + "/index"));
    }
    return carrier;
  }
  Status bring(const FoldPiece& piece);
  Status take_back(const FoldPiece& piece);

 private:
  Carrier(const TreeSide& ours, TreeNodeRef staging) : ours_(ours), staging_(std::move(staging)) {}
  Result<bool> has(const std::string& name) {
    const auto found = ours_.store->lookup(*staging_, name);
    if (!found && !is_gone(found.error())) return std::unexpected(found.error());
    return found.has_value();
  }

  TreeSide ours_;
  TreeNodeRef staging_;
  UniqueFd upper_;
  UniqueFd aside_;
  UniqueFd index_;
};

Status Carrier::bring(const FoldPiece& piece) {
  if (piece.kind == Piece::aside) {
    if (is_there(aside_.get(), piece.name)) return ok();
    if (::renameat(upper_.get(), piece.from.c_str(), aside_.get(), piece.name.c_str()) == 0) {
      return ok();
    }
    return fail_errno(text::shown(piece.from));
  }
  if (TRY(has(piece.name))) return ok();
  if (piece.kind == Piece::link) {
    const auto first = TRY(ours_.store->lookup(*staging_, piece.from));
    TRY(ours_.store->link(*first.node, *staging_, piece.name, TreeCaller{}));
    return ok();
  }
  const int from = piece.kind == Piece::index ? index_.get() : upper_.get();
  TRY(ours_.store->adopt(from, piece.from, *staging_, piece.name));
  return ok();
}

Status Carrier::take_back(const FoldPiece& piece) {
  if (piece.kind == Piece::aside) {
    if (!is_there(aside_.get(), piece.name)) return ok();
    if (::renameat(aside_.get(), piece.name.c_str(), upper_.get(), piece.from.c_str()) == 0) {
      return ok();
    }
    return fail_errno(text::shown(piece.from));
  }
  if (!TRY(has(piece.name))) return ok();
  if (piece.kind == Piece::link) return ours_.store->unlink(*staging_, piece.name, TreeCaller{});
  const int to = piece.kind == Piece::index ? index_.get() : upper_.get();
  return ours_.store->expel(*staging_, piece.name, to, piece.from, TreeCaller{});
}

class LineFolder final : public OverlayFolder {
 public:
  Result<FoldPlan> plan(const TreeSide& ours, const OverlayLeft& left,
                        const Changed& changed) const override {
    return FoldPlanner(ours, left, changed).run();
  }

  // The tree may show the pieces under other numbers than the disk: steps know them by the tree's.
  Result<std::string> stage(const TreeSide& ours, const OverlayLeft& left,
                            const std::string& text) const override {
    MergeRecord record = TRY(record_of(text));
    TreeNodeRef staging = TRY(find_staging(ours));
    if (!staging) staging = TRY(make_staging(ours));
    Carrier carrier = TRY(Carrier::open(ours, left, staging));
    for (const FoldPiece& piece : record.pieces) TRY(carrier.bring(piece));
    for (MergeStep& step : record.steps) {
      const bool is_new = step.kind == MergeStep::Kind::put || step.kind == MergeStep::Kind::swap;
      if (!is_new || !step.name.starts_with(kComing)) continue;
      const auto found = TRY(ours.store->lookup(*staging, step.name));
      step.after = state_of(found);
    }
    return to_text(record);
  }

  Status unstage(const TreeSide& ours, const OverlayLeft& left,
                 const std::string& text) const override {
    const MergeRecord record = TRY(record_of(text));
    const TreeNodeRef staging = TRY(find_staging(ours));
    if (!staging) return ok();
    Carrier carrier = TRY(Carrier::open(ours, left, staging));
    for (const FoldPiece& piece : record.pieces | std::views::reverse) {
      TRY(carrier.take_back(piece));
    }
    restore_times(left, record);
    TRY(restore_untouched(ours, left, record));
    return ours.store->remove_directory(*ours.root, kMergeDirectory, TreeCaller{});
  }

  // The kernel makes no second overlay of an upper directory that is in use.
  Status wait_until_free(const OverlayLeft& left) const override {
    const auto deadline = std::chrono::steady_clock::now() + kLongestUse;
    while (is_in_use(left)) {
      if (std::chrono::steady_clock::now() > deadline) {
        return fail(ETIMEDOUT, "{}: a process still works there", left.upper);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return ok();
  }

  Status dress(const TreeSide& ours, const OverlayLeft& left,
               const std::string& text) const override {
    const MergeRecord record = TRY(record_of(text));
    for (const MergeStep& step : record.steps) {
      if (step.name.starts_with(kComing)) TRY(strip(left, step));
    }
    PathFinder finder(ours);
    for (const FoldDress& one : record.dresses) {
      const auto found = TRY(finder.find(one.path));
      if (found && found->node->type() == S_IFDIR) TRY(dress_one(ours, *found->node, one));
    }
    // What is in it yet are further names of files that have come already.
    std::error_code ignored;
    std::filesystem::remove_all(left.work + "/index", ignored);
    return ok();
  }

 private:
  // Directories whose entries went and came back are to be read by another plan as by this one.
  static void restore_times(const OverlayLeft& left, const MergeRecord& record) {
    for (const FoldDress& one : record.dresses) {
      const struct timespec times[] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, time_of(one.modified)};
      const std::string path = fmt::format("{}/{}", left.upper, one.path);
      ::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
    }
  }

  // Of a directory that the command left alone the tree's own time was written down.
  static Status restore_untouched(const TreeSide& ours, const OverlayLeft& left,
                                  const MergeRecord& record) {
    PathFinder finder(ours);
    for (const FoldDress& one : record.dresses) {
      if (is_there(AT_FDCWD, fmt::format("{}/{}", left.upper, one.path))) continue;
      const auto found = TRY(finder.find(one.path));
      if (found && found->node->type() == S_IFDIR) TRY(dress_one(ours, *found->node, one));
    }
    return ok();
  }

  // All of it lies where the step has put it, or somebody has moved it since: then it is his, and
  // what has come in its place leads nowhere.
  static Status strip(const OverlayLeft& left, const MergeStep& step) {
    const UniqueFd lower = TRY(open_directory(left.lower));
    const std::string above(text::parent_part(step.path));
    const UniqueFd parent =
        file::open_beneath(lower.get(), above.empty() ? "." : above, O_PATH | O_DIRECTORY);
    if (!parent) return ok();
    const std::string name(text::last_part(step.path));
    strip_overlay(parent.get(), name);
    if (!step.whole) return ok();
    const UniqueFd top = file::open_beneath(parent.get(), name, O_PATH | O_DIRECTORY);
    if (top) walk_directories(top.get(), strip_entries);
    return ok();
  }

  static std::vector<std::string> strip_entries(int directory, const std::string&, std::size_t) {
    const auto entries = directory < 0 ? fail(errno, "a directory") : list_directory(directory);
    if (!entries) return {};
    for (const HostEntry& entry : *entries) strip_overlay(directory, entry.name);
    return directories_in(*entries);
  }

  static Status dress_one(const TreeSide& ours, const TreeNode& node, const FoldDress& wanted) {
    TRY(replace_xattrs(*ours.store, node, xattrs_of(*ours.store, node, is_brought), wanted.xattrs,
                       [](std::string_view, int) { return false; }));
    SetAttributes set{.which = SetAttributes::mtime};
    set.values.st_mtim = time_of(wanted.modified);
    if (wanted.mode) {
      set.which |= SetAttributes::mode;
      set.values.st_mode = *wanted.mode;
    }
    TRY(ours.store->set_attributes(node, nullptr, set, TreeCaller{}));
    return ok();
  }
};

}  // namespace

std::unique_ptr<OverlayFolder> open_folder() { return std::make_unique<LineFolder>(); }

}  // namespace agentfs
