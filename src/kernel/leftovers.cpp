// SPDX-License-Identifier: MIT
#include "kernel/leftovers.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "base/temporary_name.h"
#include "base/text.h"
#include "kernel/forks.h"
#include "kernel/kernel.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

Status remove(Kernel& kernel, const std::string& path) {
  const std::string name(text::last_part(path));
  const PlacedEntry above = TRY(find_in_mount(kernel, text::parent_part(path)));
  TreeStore& store = *above.store;
  const TreeNodeRef& directory = above.entry.node;
  const TreeEntry entry = TRY(store.lookup(*directory, name));
  if (entry.node->type() == S_IFDIR) return ok();
  TRY(store.unlink(*directory, name, TreeCaller{}));
  return kernel.record_change(Caller::daemon(kernel), {.operation = "remove", .path = path});
}

}  // namespace

// Begun anew, also where a full disk took the one before in part alone.
Status Temporaries::note(const std::string& path) {
  std::string note(1, '\0');
  note += path;
  note += '\0';
  return file::write_all(fd_.get(), note);
}

Status Temporaries::begin(const std::string& path) {
  const Lock lock(mutex_);
  if (!fd_) {
    fd_ = UniqueFd(::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!fd_) return fail_errno(file_);
  }
  TRY(note(path));
  under_way_[path] = path;
  return ok();
}

void Temporaries::follow(const std::string& from, const std::string& to, bool is_exchange) {
  const Lock lock(mutex_);
  for (auto& [begun, path] : under_way_) {
    if (text::is_below(path, from)) {
      path = to + path.substr(from.size());
    } else if (is_exchange && text::is_below(path, to)) {
      path = from + path.substr(to.size());
    } else {
      continue;
    }
    if (const Status noted = note(path); !noted) log::warning("{}", noted.error().message);
  }
}

bool Temporaries::lies_ready(const std::string& path) const {
  if (!is_temporary_name(text::last_part(path))) return false;
  const Lock lock(mutex_);
  const auto is_there = [&](const auto& one) { return one.second == path; };
  return std::ranges::any_of(under_way_, is_there) || left_.contains(path);
}

bool Temporaries::was_removed(const std::string& path) const {
  const Lock lock(mutex_);
  return removed_.contains(path);
}

void Temporaries::end(const std::string& path) {
  const Lock lock(mutex_);
  under_way_.erase(path);
  if (under_way_.empty() && ::ftruncate(fd_.get(), 0) != 0) {
    log::warning("{}: not emptied: {}", file_, std::strerror(errno));
  }
}

void Temporaries::settle(Kernel& kernel) {
  if (!file::exists(file_)) return;
  const auto read = file::read(file_);
  if (!read) log::warning("{}", read.error().message);
  const std::string paths = read.value_or("");
  for (const std::string_view path : text::split(paths, '\0')) {
    if (!is_temporary_name(text::last_part(path))) continue;
    {
      const Lock lock(mutex_);
      left_.emplace(path);
    }
    const Status removed = remove(kernel, std::string(path));
    if (removed) {
      const Lock lock(mutex_);
      removed_.emplace(path);
    }
    if (removed || removed.error().code == ENOENT) continue;
    log::warning("{}: left by a crash: {}", path, removed.error().message);
  }
  if (::unlink(file_.c_str()) != 0) log::warning("{}: {}", file_, std::strerror(errno));
}

}  // namespace agentfs
