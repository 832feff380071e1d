// SPDX-License-Identifier: MIT
#include "kernel/restore_order.h"

#include <fcntl.h>

#include <algorithm>
#include <set>

#include "base/copy.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/permissions.h"
#include "base/text.h"
#include "kernel/error_log.h"
#include "kernel/history_keeper.h"
#include "kernel/kernel.h"
#include "kernel/restorable.h"
#include "kernel/tree_path.h"
#include "kernel/versions_in_use.h"

namespace agentfs {
namespace {

std::string directory_of(const std::string& state) { return state + "/restores"; }

json::Value value_of(const RestoreStep& step) {
  json::Value value;
  json::set_bytes(value, "path", step.path);
  value.set("mode", step.mode).set("uid", step.uid).set("gid", step.gid);
  value.set("modified", step.modified).set("is_again", step.is_again);
  value.set("is_missing", step.is_missing);
  json::set_bytes(value, "target", step.target);
  json::set_bytes(value, "other", step.other);
  set_xattrs(value, step.xattrs);
  value.set("number", step.content.number);
  json::set_bytes(value, "content", step.content.path);
  return value;
}

RestoreStep step_of(const json::Value& value) {
  RestoreStep step{.path = json::bytes_of(value, "path"),
                   .mode = static_cast<mode_t>(value["mode"].number())};
  step.uid = static_cast<uid_t>(value["uid"].number());
  step.gid = static_cast<gid_t>(value["gid"].number());
  step.modified = value["modified"].number();
  step.is_again = value["is_again"].truth();
  step.is_missing = value["is_missing"].truth();
  step.target = json::bytes_of(value, "target");
  step.other = json::bytes_of(value, "other");
  step.xattrs = xattrs_of(value);
  step.content = {static_cast<std::uint64_t>(value["number"].number()),
                  json::bytes_of(value, "content")};
  return step;
}

// All but directories, which are finished later, comes to its name with all that it has. Of what
// had come before the crash the rest is its user's.
bool is_done(const Kernel& kernel, const RestoreStep& step, bool had_come) {
  const auto there = find_in_mount(kernel, step.path);
  if (had_come && (!there || !S_ISDIR(step.mode))) return true;
  if (!there || S_ISDIR(step.mode)) return false;
  const auto& [node, its] = there->entry;
  if (!step.other.empty()) {
    const auto other = find_in_mount(kernel, step.other);
    return other && other->entry.attributes.st_ino == its.st_ino;
  }
  const bool is_as_kept = (its.st_mode & S_IFMT) == (step.mode & S_IFMT) &&
                          nanoseconds_of(its.st_mtim) == step.modified;
  if (S_ISLNK(step.mode)) return is_as_kept && there->store->read_link(*node) == step.target;
  return is_as_kept && (its.st_mode & kPermissions) == (step.mode & kPermissions);
}

// Of a file that looks as it was kept. One of which nothing is kept any more stays.
bool has_its_bytes(const Kernel& kernel, const RestoreStep& step) {
  if (!S_ISREG(step.mode) || step.content.number == 0) return true;
  const auto there = find_in_mount(kernel, step.path);
  const auto kept = kernel.parts().past->open(step.content);
  if (!there || !kept) return true;
  const auto now = there->store->open(*there->entry.node, O_RDONLY, TreeCaller{});
  return !now || same_bytes(kept->get(), (*now)->descriptor()).value_or(true);
}

// Of another boot, what a power cut has emptied comes once more, with its further names, and what
// was noted as done counts for nothing. What does not look as it was kept is somebody's by now.
std::vector<RestoreStep> left_of(const Kernel& kernel, RestoreOrder order) {
  const bool may_be_lost = order.boot != this_boot();
  std::vector<RestoreStep> left;
  std::set<std::string> lost;
  for (std::size_t i = 0; i < order.steps.size(); ++i) {
    RestoreStep& step = order.steps[i];
    if (is_done(kernel, step, !may_be_lost && i < order.reached)) {
      if (!may_be_lost || (!lost.contains(step.other) && has_its_bytes(kernel, step))) continue;
      lost.insert(step.path);
      step.is_missing = false;
    }
    left.push_back(std::move(step));
  }
  return left;
}

// Somebody has given the place of a directory to something else.
void leave_out_the_blocked(const Kernel& kernel, std::vector<RestoreStep>& steps) {
  Obstacles obstacles(kernel);
  std::erase_if(steps, [&](const RestoreStep& step) {
    std::string obstacle = obstacles.above(step.path, 1);
    if (S_ISDIR(step.mode) && obstacles.is_at(step.path)) obstacle = step.path;
    if (obstacle.empty()) return false;
    log::warning("restore: {} stays in the trash, since {} is no directory now",
                 text::shown(step.path), text::shown(obstacle));
    return true;
  });
}

// What is not kept any more is no reason to leave the rest: where it lay before.
std::vector<std::string> leave_out_the_lost(const Kernel& kernel, std::vector<RestoreStep>& steps) {
  std::vector<std::string> lost;
  std::set<std::string> contents;  // as what others come back as a further name
  std::erase_if(steps, [&](const RestoreStep& step) {
    bool is_lost = contents.contains(step.other);
    if (S_ISREG(step.mode) && step.content.number != 0) {
      const auto kept = kernel.parts().past->attributes(step.content);
      is_lost = !kept && kept.error().code == ENOENT;
      if (is_lost) contents.insert(step.path);
    }
    if (is_lost) lost.push_back(step.path);
    return is_lost;
  });
  return lost;
}

// As what fails of a line that somebody writes.
void tell(Kernel& kernel, const Caller& caller, const std::string& path, int code,
          std::string_view why) {
  std::string sentence =
      fmt::format("{}: of the restore that the daemon's end cut short: {}", text::shown(path), why);
  log::error("restore: {}", sentence);
  const std::string where = fmt::format("{}/.agentfs/ctl", text::first_parts(path, 2));
  kernel.errors().add(caller.process, where, {code, std::move(sentence)});
}

Status resume(Kernel& kernel, std::string_view text) {
  RestoreOrder order = TRY(RestoreOrder::parse(text));
  const Caller caller = order.by.caller(kernel);
  const std::string top = order.steps.empty() ? "/" : order.steps.front().path;
  std::vector<RestoreStep> left = left_of(kernel, std::move(order));
  leave_out_the_blocked(kernel, left);
  const std::vector<std::string> lost = leave_out_the_lost(kernel, left);
  RestoreCourse course{.is_resumed = true};
  const Status restored = kernel.paths().restore(caller, left, course);
  if (!restored) tell(kernel, caller, top, restored.error().code, restored.error().message);
  if (lost.empty()) return ok();
  const auto others = lost.size() - 1;
  tell(kernel, caller, lost.front(), ENOENT,
       fmt::format("nothing of what it held is kept any more{}",
                   others == 0 ? "" : fmt::format(", nor of {} others", others)));
  return ok();
}

}  // namespace

std::string this_boot() {
  return std::string(text::trim(file::read("/proc/sys/kernel/random/boot_id").value_or("")));
}

std::string RestoreOrder::text() const {
  json::Array all;
  for (const RestoreStep& step : steps) all.push_back(value_of(step));
  json::Value value;
  value.set("steps", std::move(all)).set("boot", boot);
  by.write(value);
  return json::dump(value) + "\n";
}

std::string RestoreOrder::reached_line(std::size_t steps) { return fmt::format("{}\n", steps); }

Result<RestoreOrder> RestoreOrder::parse(std::string_view text) {
  const auto end = std::min(text.find('\n'), text.size());
  const json::Value value = TRY(json::parse(text.substr(0, end)));
  const json::Array* const steps = value["steps"].array();
  if (steps == nullptr) return fail(EBADMSG, "a restore without steps");
  RestoreOrder order{.by = StoredCaller::read(value), .boot = std::string(value["boot"].text())};
  for (const json::Value& step : *steps) order.steps.push_back(step_of(step));
  std::string_view reached = text.substr(end);
  reached =
      reached.substr(0, std::min(reached.rfind('\n'), reached.size()));  // the last may be cut
  if (reached.empty()) return order;
  order.reached = text::number<std::size_t>(reached.substr(reached.rfind('\n') + 1)).value_or(0);
  return order;
}

Result<StoredOrder> store_restore(const Kernel& kernel, const Caller& caller,
                                  const std::vector<RestoreStep>& steps) {
  if (steps.size() == 1 && !S_ISDIR(steps[0].mode)) return StoredOrder();
  RestoreOrder order{.steps = steps, .by = StoredCaller::of(caller)};
  for (RestoreStep& step : order.steps) {
    const bool is_new = S_ISDIR(step.mode) && !kernel.paths().attributes(caller, step.path);
    step.is_again = step.is_again || is_new;
  }
  return StoredOrder::begin(directory_of(kernel.parts().state), order.text());
}

void keep_for_restores(Kernel& kernel) {
  VersionsInUse::Numbers numbers;
  each_order(directory_of(kernel.parts().state), [&](const Result<std::string>& text) {
    const auto order = text ? RestoreOrder::parse(*text) : std::unexpected(text.error());
    if (!order) return;  // resuming it tells why
    for (const RestoreStep& step : order->steps) {
      if (step.content.number != 0) numbers.push_back(step.content.number);
    }
  });
  kernel.history().in_use().keep_for_start(std::move(numbers));
}

void resume_restores(Kernel& kernel) {
  end_orders(directory_of(kernel.parts().state), [&](const Result<std::string>& text) {
    const Status resumed = text ? resume(kernel, *text) : std::unexpected(text.error());
    if (!resumed) log::error("restore: left half done: {}", resumed.error().message);
  });
  kernel.history().in_use().end_start();
}

}  // namespace agentfs
