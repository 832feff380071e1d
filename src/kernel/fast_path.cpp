// SPDX-License-Identifier: MIT
#include "kernel/fast_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/copy.h"
#include "base/directory.h"
#include "base/file.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/text.h"
#include "kernel/fast_left.h"
#include "kernel/fold.h"
#include "kernel/forks.h"
#include "kernel/kernel.h"
#include "kernel/kinds.h"
#include "kernel/merges.h"
#include "kernel/paths.h"
#include "kernel/quota_keeper.h"

namespace agentfs {
namespace {

constexpr int kAttempts = 20;  // at a fold that others come in the way of

// The names that the host's kernel keeps of files with several are links of them, too.
bool has_index(const OverlayLeft& left) {
  std::error_code error;
  return !std::filesystem::is_empty(left.work + "/index", error) && !error;
}

// The overlay's root has the attributes of its upper directory.
Status make_upper(const std::string& upper, const std::string& lower) {
  TRY(file::make_directories(upper, 0700));
  const UniqueFd from(::open(lower.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!from) return fail_errno(lower);
  const UniqueFd to(::open(upper.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat attributes{};
  if (!to || ::fstat(from.get(), &attributes) != 0) return fail_errno(upper);
  return copy_attributes(from.get(), to.get(), attributes);
}

// Rows that the journal has of them.
std::size_t told_in(const std::vector<FoldChange>& changes) {
  return static_cast<std::size_t>(std::ranges::count(changes, false, &FoldChange::is_silent));
}

std::uint64_t inode_of(const std::string& directory) {
  struct stat attributes{};
  return ::stat(directory.c_str(), &attributes) == 0 ? attributes.st_ino : 0;
}

// bubblewrap finds the overlay in a user namespace in which root has no more rights than its own.
// "": none of the directories above the path is closed to it.
std::string closed_above(std::string_view path) {
  for (; !path.empty(); path = text::parent_part(path)) {
    const std::string directory(path);
    struct stat found{};
    if (::stat(directory.c_str(), &found) != 0) return directory;
    const mode_t needed = found.st_uid == 0 ? S_IXUSR : found.st_gid == 0 ? S_IXGRP : S_IXOTH;
    if ((found.st_mode & needed) == 0) return directory;
  }
  return "";
}

std::int64_t changed_at(const std::string& directory) {
  struct stat attributes{};
  return ::stat(directory.c_str(), &attributes) == 0 ? nanoseconds_of(attributes.st_ctim) : 0;
}

}  // namespace

std::string FastPath::directory_of(std::uint64_t number) const {
  return fmt::format("{}/fast/{}", kernel_.parts().state, number);
}

OverlayLeft FastPath::left_of(const FastRun& run) const {
  const std::string directory = directory_of(run.number);
  return {.upper = directory + "/upper",
          .work = directory + "/work",
          .aside = directory + "/aside",
          .lower = kernel_.host_path(run.root).value_or(std::string())};
}

Status FastPath::store(const FastRun& run) const {
  return file::replace(directory_of(run.number) + "/order", run.text(), 0600);
}

// A tree that reads through another is not all there on the disk.
std::string FastPath::why_not(const ExecRequest& request) const {
  if (kernel_.parts().folder == nullptr || ::geteuid() != 0) {
    return "overlays are made by a daemon of root";
  }
  if (!request.sandbox) return "there is no sandbox to make one in";
  if (request.user && request.user->uid != 0) return "it is for commands of root";
  const std::string root = request.binds.size() < 2 ? "" : request.binds.front().second;
  const auto forest = kernel_.forks().forest_of(root);
  if (!forest || !root.starts_with("/workspaces/")) return "the command has no workspace";
  const auto info = kernel_.forks().info_of(root);
  if (info && (info->base || info->has_sources)) {
    return fmt::format("{} is a fork, or was rolled back: not all of it is on the disk", root);
  }
  if (const std::string closed = closed_above(kernel_.parts().state); !closed.empty()) {
    return fmt::format("the state lies in {}, which root may enter by its capabilities alone",
                       closed);
  }
  return why_no_other(kernel_.parts().state + "/fast", root);
}

Status FastPath::begin(const Caller& caller, FastRun& run, ExecRequest& request) const {
  run.root = request.binds.front().second;
  run.command = text::prefix(request.command, 1'000);
  kernel_.look_at_fold([&](const Fold& fold) { run.version = fold.history().last(); });
  run.by = StoredCaller::of(caller);
  // What is stored through mappings is seen by the command where it can be had now.
  (void)kernel_.paths().begin_snapshot(run.root);
  const OverlayLeft left = left_of(run);
  run.lower = inode_of(left.lower);
  TRY(file::make_directories(kernel_.parts().state + "/fast", 0700));
  TRY(file::make_directories(directory_of(run.number), 0700));
  for (const std::string& path : {left.work, left.aside}) TRY(file::make_directories(path, 0700));
  TRY(make_upper(left.upper, left.lower));
  run.began = changed_at(left.upper);
  TRY(store(run));
  request.overlay = {
      .inside = run.root, .lower = left.lower, .upper = left.upper, .work = left.work};
  return ok();
}

void FastPath::close(FastRun& run, const FastEnd& end) const {
  if (run.phase != FastRun::Phase::kept) {
    if (!end.error) drop(run);  // else the next start goes on
    return;
  }
  run.is_told = true;
  if (const Status stored = store(run); !stored) log::error("fast: {}", stored.error().message);
}

void FastPath::drop(const FastRun& run) const {
  // The order goes first: what has none is removed by the next start.
  ::unlink((directory_of(run.number) + "/order").c_str());
  std::error_code error;
  std::filesystem::remove_all(directory_of(run.number), error);
  if (error) log::warning("fast: {}: {}", directory_of(run.number), error.message());
}

Result<TreeSide> FastPath::side_of(const FastRun& run) const {
  Forest& forest = *TRY(kernel_.forks().forest_of(run.root));
  const auto tree = forest.tree(paths::name_of(run.root));
  const auto info = kernel_.forks().info_of(run.root);
  const bool is_other = !tree || (info && (info->base || info->has_sources)) ||
                        inode_of(left_of(run).lower) != run.lower;
  if (!is_other) return TreeSide{&forest, tree->node};
  return fail(
      ESTALE,
      "{}: is not the tree that the command began in: removed, renamed or rolled back since",
      run.root);
}

// --- the end of a command

FastEnd FastPath::end(const Caller& caller, FastRun& run, bool failed) {
  kernel_.conflicts().wait_and_begin(run.root);
  FastEnd end = end_alone(caller, run, failed);
  kernel_.conflicts().end(run.root);
  return end;
}

FastEnd FastPath::end_alone(const Caller& caller, FastRun& run, bool failed) {
  if (failed && run.drop_failed && run.phase == FastRun::Phase::running) {
    run.dry_run = true;  // only looked at, for what is told of it
    const auto seen = fold(caller, run);
    return {.how = "dropped",
            .paths = seen ? seen->paths : 0,
            .lines = "# fs=fast: it failed, and what it changed is dropped\n"};
  }
  auto folded = fold(caller, run);
  if (folded && !run.keeps) return *std::move(folded);
  FastEnd end = folded ? *std::move(folded) : FastEnd{.how = "kept"};
  if (!folded) {
    end.error = std::move(folded).error();
    end.error->message +=
        fmt::format("; what the command changed is kept in {}/upper", directory_of(run.number));
    if (end.error->code == EDQUOT) {
      end.error->message += "; with room it can be copied from there, or the command run again";
    }
  }
  // What is all in its place, but not all told, the next start tells.
  if (!end.error || run.phase == FastRun::Phase::running) run.phase = FastRun::Phase::kept;
  if (const Status stored = store(run); !stored) {
    log::error("fast: {}", stored.error().message);
  }
  return end;
}

Result<FastEnd> FastPath::fold(const Caller& caller, FastRun& run) {
  const TreeSide ours = TRY(side_of(run));
  for (int attempt = 1;; ++attempt) {
    FastEnd end{.how = "folded"};
    const FoldPlan plan = TRY(this->plan(caller, run, ours, end));
    end.paths = told_in(plan.changes);
    for (const std::string& note : plan.notes) end.lines += fmt::format("# fs=fast: {}\n", note);
    const bool keeps_more = end.how == "kept";
    if (plan.leaves_some) end.how = "kept";
    const auto ended = [&] {
      const std::string directory = directory_of(run.number);
      const std::string all(text::parent_part(directory));
      if (plan.leaves_some) judge_left(kernel_, all, directory, run, end, keeps_more);
      return std::move(end);
    };
    if (run.dry_run) {
      end.how = "shown";
      end.lines += shown(plan);
      return end;
    }
    run.keeps = end.how == "kept";
    run.conflicts = end.conflicts;
    if (plan.is_empty) return ended();
    const Hold room = TRY(kernel_.paths().hold_room(run.root, plan.growth));
    run.phase = FastRun::Phase::folding;
    run.record = plan.record;
    run.changes = plan.changes;
    TRY(store(run));
    const Status applied = apply(run, ours);
    if (applied) {
      TRY(finish(caller, run));
      return ended();
    }
    TRY(take_back(run, ours));
    const bool again = applied.error().code == ESTALE && attempt < kAttempts;
    if (again) continue;
    if (applied.error().code != ESTALE) return std::unexpected(applied.error());
    return fail(ESTALE,
                "others changed the same files at each of {} attempts to take over what the "
                "command wrote ({})",
                kAttempts, text::split(applied.error().message, ';').front());
  }
}

// All is as before, and what was staged goes back: then it is as if the fold never began.
Status FastPath::take_back(FastRun& run, const TreeSide& ours) {
  const Status undone =
      kernel_.parts().merger->undo(ours, run.record, kernel_.merges().exchange_in(run.root));
  show_returned(run);
  TRY(undone);
  TRY(kernel_.parts().folder->unstage(ours, left_of(run), run.record));
  run.phase = FastRun::Phase::running;
  return store(run);
}

// A crash in here is followed by take_back() and another fold.
Status FastPath::apply(FastRun& run, const TreeSide& ours) {
  const KernelParts& parts = kernel_.parts();
  run.record = TRY(parts.folder->stage(ours, left_of(run), run.record));
  TRY(store(run));
  TRY(parts.merger->apply(ours, run.record, kernel_.merges().exchange_in(run.root)));
  run.phase = FastRun::Phase::folded;
  const Status stored = store(run);
  if (stored) return ok();
  TRY(parts.merger->undo(ours, run.record, kernel_.merges().exchange_in(run.root)));
  run.phase = FastRun::Phase::folding;
  return stored;
}

Status FastPath::finish(const Caller& caller, const FastRun& run, std::size_t told) {
  const KernelParts& parts = kernel_.parts();
  const TreeSide ours = TRY(side_of(run));
  show(run);
  RemovedFiles removed;
  const Status cleared = parts.merger->finish(
      ours, run.record,
      [&](const std::string& path, const TreeEntry& old) -> Status {
        const std::string whole = fmt::format("{}/{}", run.root, path);
        if (paths::is_in_repository(whole)) return ok();  // its own objects are its history
        return kernel_.merges().keep(caller, whole, {ours, old}, removed);
      },
      [&](const std::string& path, const std::string& name) {
        return kernel_.merges().come_back(caller, fmt::format("{}/{}", run.root, path), name);
      });
  // Somebody's files in it are no part of the command's changes.
  if (!cleared && cleared.error().code != ENOTEMPTY) return cleared;
  kernel_.paths().links_changed(run.root, removed.linked);
  const bool has_links = has_index(left_of(run));
  TRY(parts.folder->dress(ours, left_of(run), run.record));
  show_dressed(run, has_links);
  TRY(tell(caller, run, told));
  kernel_.paths().recount(run.root, false);
  return ok();
}

// --- at a start

Status FastPath::settle() {
  const std::string all = kernel_.parts().state + "/fast";
  if (!file::exists(all) || kernel_.parts().folder == nullptr) return ok();
  std::vector<std::uint64_t> numbers;
  for (const HostEntry& entry : TRY(list_directory(all))) {
    if (const auto number = text::number<std::uint64_t>(entry.name)) numbers.push_back(*number);
  }
  std::ranges::sort(numbers);
  for (const std::uint64_t number : numbers) {
    if (const Status settled = settle_one(number); !settled) {
      log::error("fast: {}: left half done: {}", directory_of(number), settled.error().message);
    }
  }
  return ok();
}

Status FastPath::settle_one(std::uint64_t number) {
  const std::string order = directory_of(number) + "/order";
  if (!file::exists(order)) {
    drop({.number = number});
    return ok();
  }
  FastRun run = TRY(FastRun::parse(TRY(file::read(order))));
  if (run.phase == FastRun::Phase::kept && run.is_told) return ok();
  return resume(run);
}

Status FastPath::resume(FastRun& run) {
  const Told told = TRY(told_of(run));
  const bool was_running = run.phase == FastRun::Phase::running;
  const bool is_told =
      run.phase == FastRun::Phase::folded && told.changes == told_in(run.changes) && !run.keeps;
  if (!told.end.empty() && (was_running || is_told)) {
    // The rows may have outlived a power cut that took the removal of what was replaced.
    const Status cleared = is_told ? finish(run.by.caller(kernel_), run, told.changes) : ok();
    if (!cleared) log::warning("{}: not cleared: {}", run.root, cleared.error().message);
    if (told.end == "kept") run.phase = FastRun::Phase::kept;
    close(run, {});
    return ok();
  }
  const Caller caller = run.by.caller(kernel_);
  const FastEnd end = TRY(end_after_crash(caller, run, told));
  if (told.end.empty()) {
    json::Value data;
    data.set("command", run.command).set("ended_by", "crash");
    data.set("fs", "fast").set("fold", end.how).set("paths", end.paths);
    data.set("conflicts", end.conflicts).set("begin", run.number);
    if (end.error) data.set("text", end.error->message);
    TRY(kernel_.commit(caller, std::string(kind::kExecEnd), std::move(data)));
  }
  close(run, end);
  return ok();
}

Result<FastEnd> FastPath::end_after_crash(const Caller& caller, FastRun& run, const Told& told) {
  using enum FastRun::Phase;
  FastEnd end{.how = run.keeps || run.phase == kept ? "kept" : "folded",
              .paths = told_in(run.changes),
              .conflicts = run.conflicts};
  if (run.phase == kept) return end;
  TRY(kernel_.parts().folder->wait_until_free(left_of(run)));
  if (run.phase == folding) {
    // Undone, and begun once more: what was renamed there and back is no longer what it was.
    TRY(take_back(run, TRY(side_of(run))));
    run.drop_failed = false;
  }
  if (run.phase == running) return end_alone(caller, run, true);
  TRY(finish(caller, run, told.changes));
  if (run.keeps) run.phase = kept;
  return end;
}

}  // namespace agentfs
