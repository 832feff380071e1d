// SPDX-License-Identifier: MIT
// Old contents of the data trees: what is kept, what a crash left, what has been kept long enough.
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <set>

#include "base/log.h"
#include "base/text.h"
#include "kernel/kernel_state.h"

namespace agentfs {
namespace {

using namespace std::chrono_literals;
constexpr auto kInterval = 60s;
constexpr std::size_t kBatch = 1'000;  // versions that one record forgets
constexpr std::int64_t kDay = std::int64_t{86'400} * 1'000'000'000;

Caller self(Kernel& kernel) {
  return {.kernel = &kernel, .process = {}, .host = {}, .path = {}, .via = {}};
}

void set_bytes(json::Value& data, const std::string& member, const std::string& bytes) {
  data.set(member, bytes);
  if (!text::is_utf8(bytes)) data.set(member + "_hex", text::hex(bytes));
}

// "/workspaces/site/a/b" -> "/workspaces/site".
std::string root_of(const std::string& path) {
  const auto first = path.find('/', 1);
  return first == std::string::npos ? path : path.substr(0, path.find('/', first + 1));
}

std::uint64_t share_of(const struct statvfs& disk, double share) {
  const double total = static_cast<double>(disk.f_blocks) * static_cast<double>(disk.f_frsize);
  return static_cast<std::uint64_t>(total * share);
}

// A content that no row tells of: kept, but the daemon died before the row.
json::Value recovered(const PastName& name, const struct stat& attributes, bool is_gone) {
  std::string path = name.path;
  if (!name.whole) path = fmt::format("{}/orphan-{}", root_of(path), name.number);
  json::Value data;
  set_bytes(data, "path", path);
  json::Value kept;
  kept.set("number", name.number).set("type", "file").set("size", attributes.st_size);
  kept.set("mode", attributes.st_mode & 07777U);
  kept.set("uid", attributes.st_uid).set("gid", attributes.st_gid);
  kept.set("modified", attributes.st_mtim.tv_sec * 1'000'000'000 + attributes.st_mtim.tv_nsec);
  if (is_gone) kept.set("removed", true);
  return data.set("kept", std::move(kept));
}

// What is to go: everything too old, then the oldest until the rest fits.
std::vector<FileVersionRef> outlived(const History& history, std::int64_t before,
                                     std::uint64_t most_bytes, std::string_view& reason) {
  std::vector<FileVersionRef> versions;
  std::uint64_t bytes = history.bytes();
  for (const auto& [number, version] : history.all()) {
    const bool is_old = version->time <= before;
    if ((!is_old && bytes <= most_bytes) || versions.size() == kBatch) break;
    if (versions.empty()) reason = is_old ? "age" : "space";
    if (version->type == FileVersion::Type::file) bytes -= version->size;
    versions.push_back(version);
  }
  return versions;
}

}  // namespace

void Kernel::look_at_history(const std::function<void(const History&)>& look) const {
  Lock lock(state_->mutex);
  look(state_->fold.history());
}

std::string Kernel::why_not_kept(std::uint64_t size, bool by_copy) const {
  const HistorySettings settings = configuration().history();
  if (parts().past == nullptr || settings.days == 0) return "history is off";
  const std::int64_t most = by_copy ? std::min(settings.largest_copy_bytes, settings.largest_bytes)
                                    : settings.largest_bytes;
  if (size > static_cast<std::uint64_t>(most)) {
    return fmt::format("{} bytes are more than {}", size, most);
  }
  const auto disk = parts().past->statistics();
  if (!disk) return disk.error().message;
  const std::uint64_t left = static_cast<std::uint64_t>(disk->f_bavail) * disk->f_frsize;
  const std::uint64_t needed = share_of(*disk, settings.reserve) + (by_copy ? size : 0);
  return left < needed ? std::string("the disk is nearly full") : std::string();
}

Status Kernel::may_see_history(const Caller& caller, const std::string& root) const {
  struct stat attributes{};
  const std::string host = parts().state + "/trees" + root;
  if (::stat(host.c_str(), &attributes) != 0) return fail_errno(root);
  const ProcessRef process = find_process(caller.process);
  const uid_t uid = process != nullptr ? process->uid : caller.host.uid;
  if (uid == 0 || uid == attributes.st_uid || uid == parts().owner) return ok();
  return fail(EACCES, "{}: the history of {} is for its owner (uid {}), not for uid {}",
              root + "/.agentfs", root, attributes.st_uid, uid);
}

// What the rows say and what is on the disk may differ by what a crash cut short.
Status Kernel::State::settle_history() {
  PastStore* const past = parts.past;
  if (past == nullptr) return ok();
  std::vector<FileVersionRef> missing;
  std::vector<PastName> unknown;
  {
    const std::vector<PastName> names = TRY(past->list());
    std::set<std::uint64_t> there;
    Lock lock(mutex);
    const History& history = fold.history();
    past->reserve(history.last());
    for (const PastName& name : names) {
      there.insert(name.number);
      if (history.find(name.number) == nullptr) unknown.push_back(name);
    }
    for (const auto& [number, version] : history.all()) {
      if (version->type == FileVersion::Type::file && !there.contains(number)) {
        missing.push_back(version);
      }
    }
  }
  const Caller author = self(kernel);
  if (!missing.empty()) TRY(drop_versions(author, missing, "missing"));
  for (const PastName& name : unknown) {
    const auto attributes = past->attributes(name);
    if (!attributes) continue;
    if (attributes->st_nlink > 1) {  // linked, but the name it had was never taken away
      TRY(past->drop(name));
      continue;
    }
    struct stat now{};
    const std::string host = parts.state + "/trees" + name.path;
    const bool is_gone = !name.whole || ::lstat(host.c_str(), &now) != 0;
    TRY(kernel.commit(author, std::string(kind::kHistoryRecovered),
                      recovered(name, *attributes, is_gone)));
  }
  return ok();
}

// The contents first: a crash before the row leaves versions without one, which the next start
// forgets.
Status Kernel::State::drop_versions(const Caller& caller, std::span<const FileVersionRef> versions,
                                    std::string_view reason) {
  json::Array numbers;
  std::uint64_t bytes = 0;
  for (const FileVersionRef& version : versions) {
    if (version->type == FileVersion::Type::file) {
      TRY(parts.past->drop({version->number, version->path}));
      bytes += version->size;
    }
    numbers.push_back(version->number);
  }
  json::Value data;
  data.set("versions", std::move(numbers)).set("reason", reason).set("bytes", bytes);
  TRY(kernel.commit(caller, std::string(kind::kHistoryDrop), std::move(data)));
  return ok();
}

Result<std::size_t> Kernel::empty_history() {
  if (parts().past == nullptr) return 0;
  std::size_t dropped = 0;
  for (;;) {
    const HistorySettings settings = configuration().history();
    const std::uint64_t most = share_of(TRY(parts().past->statistics()), settings.share);
    const std::int64_t before = clock().wall() - settings.days * kDay;
    std::string_view reason;
    std::vector<FileVersionRef> versions;
    look_at_history([&](const History& h) { versions = outlived(h, before, most, reason); });
    if (versions.empty()) return dropped;
    TRY(state_->drop_versions(self(*this), versions, reason));
    dropped += versions.size();
  }
}

void Kernel::State::schedule_history() {
  if (parts.past == nullptr) return;
  parts.loop->after(kInterval, [weak = weak_from_this()] {
    Work timer{weak};
    if (!timer) return;
    timer->parts.pool->post([weak] {
      Work work{weak};
      if (!work) return;
      if (const auto emptied = work->kernel.empty_history(); !emptied) {
        log::error("history: not emptied: {}", emptied.error().message);
      }
      work->schedule_history();
    });
  });
}

}  // namespace agentfs
