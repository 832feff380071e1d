// SPDX-License-Identifier: MIT
#include "kernel/history_keeper.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/configuration.h"
#include "kernel/drop_order.h"
#include "kernel/fold.h"
#include "kernel/kernel.h"
#include "kernel/kinds.h"
#include "kernel/restore_order.h"
#include "kernel/retention.h"
#include "kernel/stored_order.h"
#include "kernel/tree_path.h"
#include "kernel/versions_in_use.h"

namespace agentfs {
namespace {

const std::string& path_of(const PastName& name) { return name.now.empty() ? name.path : name.now; }

// A content that no row tells of: kept, but the daemon died before the row.
json::Value adopted(const PastName& name, const struct stat& attributes, bool is_gone) {
  json::Value data;
  json::set_bytes(data, "path", path_of(name));
  json::Value kept = kept_row(name.number, "file", attributes);
  if (!name.now.empty()) json::set_bytes(kept, "kept_as", name.path);
  if (is_gone) kept.set("removed", true);
  return data.set("kept", std::move(kept));
}

// Why a content finds no room on the disk of the past; "": it does.
std::string no_room(const struct statvfs& disk, const HistorySettings& settings, std::uint64_t size,
                    bool by_copy) {
  if (const std::uint64_t all = share_of(disk, settings.share); size > all) {
    return fmt::format("{} bytes are more than the {} that all of history may hold", size, all);
  }
  const std::uint64_t left = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  const std::uint64_t needed = share_of(disk, settings.reserve) + (by_copy ? size : 0);
  if (left < needed) return "the disk is nearly full";
  const bool has_inodes =
      disk.f_files == 0 || disk.f_favail >= share_of_files(disk, settings.reserve);
  return has_inodes ? std::string() : std::string("the disk has hardly any inodes left");
}

}  // namespace

json::Value HistoryKeeper::recovered(const std::string& path) const {
  FileVersionRef found;
  kernel_.look_at_fold([&](const Fold& fold) {
    const auto versions = fold.history().versions(path);
    if (!versions.empty() && versions.back()->cause == "recovered") found = versions.back();
  });
  if (found == nullptr || found->in_trash) return {};
  const json::Value all = to_json(*found);
  json::Value kept;
  for (const char* const member : {"number", "path", "path_hex", "type", "size", "held", "mode",
                                   "uid", "gid", "modified", "kept_as", "kept_as_hex"}) {
    if (!all[member].is_null()) kept.set(member, all[member]);
  }
  return kept;
}

bool HistoryKeeper::is_on() const {
  return kernel_.parts().past != nullptr && kernel_.configuration().history().days != 0;
}

std::string HistoryKeeper::why_not_kept(std::uint64_t size, bool by_copy) const {
  const HistorySettings settings = kernel_.configuration().history();
  if (kernel_.parts().past == nullptr || settings.days == 0) return "history is off";
  const std::int64_t most = by_copy ? std::min(settings.largest_copy_bytes, settings.largest_bytes)
                                    : settings.largest_bytes;
  if (size > static_cast<std::uint64_t>(most)) {
    return fmt::format("{} bytes are more than {}", size, most);
  }
  const auto at = [&](bool afresh) -> std::string {
    const auto disk = kernel_.parts().past->statistics(afresh);
    return disk ? no_room(*disk, settings, size, by_copy) : disk.error().message;
  };
  // Room may have come since the last look.
  return at(false).empty() ? std::string() : at(true);
}

std::vector<FileVersionRef> HistoryKeeper::kept_since(const std::string& path,
                                                      std::uint64_t number) const {
  std::vector<FileVersionRef> versions;
  kernel_.look_at_fold([&](const Fold& fold) { versions = fold.history().versions(path); });
  std::erase_if(versions, [&](const FileVersionRef& one) { return one->number <= number; });
  return versions;
}

std::optional<std::string> HistoryKeeper::text_of(const FileVersion& version) const {
  if (version.type == FileVersion::Type::empty) return std::string();
  const PastStore* const past = kernel_.parts().past;
  if (past == nullptr || version.type != FileVersion::Type::file) return std::nullopt;
  const auto file = past->open(version.stored());
  if (!file) return std::nullopt;
  auto bytes = file::read(file->get());
  return bytes ? std::optional(*std::move(bytes)) : std::nullopt;
}

Result<struct stat> HistoryKeeper::root_attributes(const std::string& root) const {
  struct stat attributes{};
  const std::string host = kernel_.parts().state + "/trees" + root;
  if (::lstat(host.c_str(), &attributes) != 0) return fail_errno(root);
  return attributes;
}

Status HistoryKeeper::may_see(const Caller& caller, const std::string& root) const {
  const struct stat attributes = TRY(root_attributes(root));
  const uid_t uid = kernel_.user_of(caller);
  if (uid == attributes.st_uid || kernel_.is_ruler(uid)) return ok();
  return fail(EACCES, "{}: the history of {} is for its owner (uid {}), not for uid {}",
              root + "/.agentfs", root, attributes.st_uid, uid);
}

Result<Horizon> HistoryKeeper::horizon(const Caller& caller, const std::string& root) const {
  TRY(may_see(caller, root));
  Horizon horizon{.uid = kernel_.user_of(caller)};
  if (kernel_.is_ruler(horizon.uid)) return horizon;
  kernel_.look_at_fold([&](const Fold& fold) {
    const auto ended = fold.ended_trees().find(root);
    if (ended != fold.ended_trees().end()) horizon.ended = ended->second;
  });
  return horizon;
}

Status HistoryKeeper::look(const Caller& caller, const std::string& root,
                           const std::function<void(const SeenHistory&)>& look) const {
  const Horizon its = TRY(horizon(caller, root));
  kernel_.look_at_history([&](const History& history) { look({history, its}); });
  return ok();
}

bool HistoryKeeper::may_read(const Caller& caller, const struct stat& file) const {
  const uid_t uid = kernel_.user_of(caller);
  return uid == file.st_uid || kernel_.is_ruler(uid);
}

Status HistoryKeeper::check_own(const Caller& caller,
                                const std::vector<FileVersionRef>& versions) const {
  for (const FileVersionRef& one : versions) {
    struct stat file{};
    file.st_uid = one->uid;
    const bool is_own = may_read(caller, file);
    // Not by way of a link, which may lead to what is not this caller's to know of.
    const auto now = find_in_mount(kernel_, one->path);
    if (now) file = now->entry.attributes;
    if (is_own && may_read(caller, file)) continue;
    return fail(EACCES, "{}: is uid {}'s, and not for uid {} to take back or forget",
                text::shown(one->path), file.st_uid, kernel_.user_of(caller));
  }
  return ok();
}

Status HistoryKeeper::may_destroy(const Caller& caller, const std::string& path) const {
  const ProcessRef process = kernel_.find_process(caller.process);
  if (process == nullptr || process->is_init) return ok();
  return fail(EPERM, "{}: what is kept of it is for a person to give up, not for an agent (pid {})",
              text::shown(path), process->pid.value);
}

Status HistoryKeeper::settle() {
  PastStore* const past = kernel_.parts().past;
  if (past == nullptr) return ok();
  keep_for_restores(kernel_);
  resume_drops();
  const std::vector<PastName> names = TRY(past->list());
  std::vector<FileVersionRef> missing;
  std::vector<PastName> unknown;
  std::vector<std::pair<PastName, std::string>> misnamed;
  kernel_.look_at_history([&](const History& history) {
    std::set<std::uint64_t> there;
    for (const PastName& name : names) {
      there.insert(name.number);
      const FileVersionRef version = history.find(name.number);
      if (version == nullptr) {
        unknown.push_back(name);
      } else if (std::string path = version->stored().path; !path.starts_with(name.path)) {
        misnamed.emplace_back(name, std::move(path));  // as builds before this one adopted it
      }
    }
    for (const auto& [number, version] : history.all()) {
      if (version->type == FileVersion::Type::file && !there.contains(number)) {
        missing.push_back(version);
      }
    }
  });
  if (!missing.empty())
    TRY(drop(Caller::daemon(kernel_), {.gone = missing, .for_others = {}}, "missing"));
  for (const auto& [name, path] : misnamed) {
    const Status named = past->rename(name, path);
    if (!named) log::warning("history: {}", named.error().message);
  }
  for (const PastName& name : unknown) {  // what has no room now stays for the next start
    const Status done = adopt(name);
    if (!done) log::error("history: {}: {}", name.path, done.error().message);
  }
  return ok();
}

Status HistoryKeeper::adopt(PastName name) {
  PastStore& past = *kernel_.parts().past;
  if (!name.whole) {  // the path that it had is lost: it gets one that can be found
    PastName found{name.number,
                   name.now.empty()
                       ? fmt::format("{}/orphan-{}", text::first_parts(name.path, 2), name.number)
                       : name.now};
    TRY(past.rename(name, found.path));
    name = std::move(found);
  }
  const auto attributes = past.attributes(name);
  if (!attributes) return ok();
  struct stat now{};
  const std::string host = kernel_.parts().state + "/trees" + path_of(name);
  const bool is_gone = ::lstat(host.c_str(), &now) != 0;
  const bool is_linked = attributes->st_nlink > 1;
  const bool is_it =
      !is_gone && now.st_ino == attributes->st_ino && now.st_dev == attributes->st_dev;
  // The name that it had was never taken away.
  if (is_linked && is_it) return past.drop(name);
  // Others have the file still, a fork or a checkpoint perhaps, and may write it.
  if (is_linked) TRY(past.separate(name));
  TRY(kernel_.commit(Caller::daemon(kernel_), std::string(kind::kHistoryRecovered),
                     adopted(name, *attributes, is_gone)));
  return ok();
}

std::pair<Hold, FileVersionRef> HistoryKeeper::claim(Forgetting& which) {
  VersionsInUse::Numbers numbers;
  for (const auto* const versions : {&which.gone, &which.for_others}) {
    for (const FileVersionRef& one : *versions) numbers.push_back(one->number);
  }
  const std::size_t wanted = numbers.size();
  Hold hold = in_use_.forget(numbers);
  if (numbers.size() == wanted) return {std::move(hold), nullptr};
  const std::set<std::uint64_t> free(numbers.begin(), numbers.end());
  FileVersionRef busy;
  for (auto* const versions : {&which.gone, &which.for_others}) {
    std::erase_if(*versions, [&](const FileVersionRef& one) {
      if (free.contains(one->number)) return false;
      busy = one;
      return true;
    });
  }
  return {std::move(hold), std::move(busy)};
}

Status HistoryKeeper::drop(const Caller& caller, const Forgetting& which, std::string_view reason) {
  const auto numbers_of = [](const std::vector<FileVersionRef>& versions) {
    std::vector<std::uint64_t> numbers;
    for (const FileVersionRef& one : versions) numbers.push_back(one->number);
    return numbers;
  };
  const DropOrder order{.gone = numbers_of(which.gone),
                        .for_others = numbers_of(which.for_others),
                        .reason = std::string(reason),
                        .by = StoredCaller::of(caller)};
  const auto stored = StoredOrder::begin(DropOrder::directory(kernel_.parts().state), order.text());
  // What makes room is not refused for want of it.
  if (!stored && stored.error().code != ENOSPC && stored.error().code != EDQUOT) {
    return std::unexpected(stored.error());
  }
  return drop_now(caller, which, reason);
}

void HistoryKeeper::resume_drops() {
  const auto resume = [&](const Result<std::string>& text) -> Status {
    const DropOrder order = TRY(DropOrder::parse(TRY(text)));
    Forgetting which;
    kernel_.look_at_history([&](const History& history) {
      const auto find = [&](const std::vector<std::uint64_t>& numbers) {
        std::vector<FileVersionRef> versions;
        for (const std::uint64_t number : numbers) {
          if (FileVersionRef version = history.find(number)) versions.push_back(std::move(version));
        }
        return versions;
      };
      which = {.gone = find(order.gone), .for_others = find(order.for_others)};
    });
    return which.gone.empty() ? ok() : drop_now(order.by.caller(kernel_), which, order.reason);
  };
  end_orders(DropOrder::directory(kernel_.parts().state), [&](const Result<std::string>& text) {
    const Status resumed = resume(text);
    if (!resumed) log::error("history: half forgotten: {}", resumed.error().message);
  });
}

Status HistoryKeeper::drop_now(const Caller& caller, const Forgetting& which,
                               std::string_view reason) {
  json::Array numbers;
  std::uint64_t bytes = 0;
  for (const FileVersionRef& version : which.gone) {
    if (version->type == FileVersion::Type::file) {
      TRY(kernel_.parts().past->drop(version->stored()));
      bytes += version->held;
    }
    numbers.emplace_back(version->number);
  }
  json::Value data;
  data.set("versions", std::move(numbers)).set("reason", reason).set("bytes", bytes);
  json::Array for_others;
  for (const FileVersionRef& version : which.for_others) for_others.emplace_back(version->number);
  if (!for_others.empty()) data.set("for_others", std::move(for_others));
  TRY(kernel_.commit(caller, std::string(kind::kHistoryDrop), std::move(data)));
  return ok();
}

}  // namespace agentfs
