// SPDX-License-Identifier: MIT
#include <filesystem>
#include <set>

#include "kernel/paths.h"
#include "support/test_kernel.h"

namespace agentfs::test {

void FakeNamespace::put(const std::string& path, std::string text) {
  Lock lock(mutex_);
  files_[path] = std::move(text);
}

void FakeNamespace::make_directory(const std::string& path) {
  Lock lock(mutex_);
  directories_[path] = true;
}

std::optional<std::string> FakeNamespace::get(const std::string& path) const {
  Lock lock(mutex_);
  const auto found = files_.find(path);
  if (found == files_.end()) return std::nullopt;
  return found->second;
}

std::size_t FakeNamespace::writes(const std::string& path) const {
  Lock lock(mutex_);
  const auto found = writes_.find(path);
  return found == writes_.end() ? 0 : found->second;
}

void FakeNamespace::on_read(std::function<void(const std::string& path)> callback) {
  Lock lock(mutex_);
  on_read_ = std::move(callback);
}

void FakeNamespace::fail_reads(const std::string& path, int code) {
  Lock lock(mutex_);
  failing_[path] = code;
}

void FakeNamespace::hold_commands() { holds_commands_ = true; }

bool FakeNamespace::is_directory(const std::string& path) const {
  if (path == "/" || directories_.contains(path)) return true;
  const auto next = files_.lower_bound(path + "/");
  return next != files_.end() && next->first.starts_with(path + "/");
}

Result<struct stat> FakeNamespace::attributes(const Caller&, const std::string& path) {
  Lock lock(mutex_);
  struct stat result{};
  if (const auto found = files_.find(path); found != files_.end()) {
    result.st_mode = S_IFREG | 0644;
    result.st_size = static_cast<off_t>(found->second.size());
  } else if (is_directory(path) ||
             (!trees.empty() && std::filesystem::is_directory(trees + path))) {
    result.st_mode = S_IFDIR | 0755;
  } else {
    return fail(ENOENT, "{}: no such file or directory", path);
  }
  return result;
}

Result<std::string> FakeNamespace::read(const Caller&, const std::string& path,
                                        std::uint64_t offset, std::uint64_t limit) {
  std::function<void(const std::string&)> on_read;
  {
    Lock lock(mutex_);
    on_read = on_read_;
  }
  const std::size_t now = ++readers_;
  for (std::size_t most = most_readers_; now > most;) {
    if (most_readers_.compare_exchange_weak(most, now)) break;
  }
  if (on_read) on_read(path);
  --readers_;
  Lock lock(mutex_);
  if (const auto failing = failing_.find(path); failing != failing_.end()) {
    return fail(failing->second, "{}: cannot be read, as the test wants it", path);
  }
  const auto found = files_.find(path);
  if (found == files_.end()) {
    if (is_directory(path)) return fail(EISDIR, "{}: is a directory", path);
    return fail(ENOENT, "{}: no such file or directory", path);
  }
  if (offset >= found->second.size()) return std::string();
  return found->second.substr(offset, limit == 0 ? std::string::npos : limit);
}

Status FakeNamespace::write(const Caller& caller, const std::string& path, std::string_view text) {
  bool is_new = false;
  {
    Lock lock(mutex_);
    if (is_directory(path)) return fail(EISDIR, "{}: is a directory", path);
    is_new = !files_.contains(path);
  }
  if (paths::is_data(path)) {
    TRY(caller.kernel->record_change(
        caller, {.operation = is_new ? "create" : "write", .path = path, .bytes = text.size()}));
  }
  Lock lock(mutex_);
  files_[path] = text;
  ++writes_[path];
  return ok();
}

Result<std::vector<NamespaceEntry>> FakeNamespace::list(const Caller&, const std::string& path) {
  Lock lock(mutex_);
  if (files_.contains(path)) return fail(ENOTDIR, "{}: is no directory", path);
  if (!is_directory(path)) return fail(ENOENT, "{}: no such file or directory", path);
  const std::string head = path == "/" ? "/" : path + "/";
  std::map<std::string, NamespaceEntry> found;
  const auto add = [&](const std::string& full, std::uint64_t size, bool is_file) {
    if (!full.starts_with(head) || full.size() == head.size()) return;
    const std::string rest = full.substr(head.size());
    const std::string name = rest.substr(0, rest.find('/'));
    const bool is_leaf = is_file && name.size() == rest.size();
    found[name] = {.name = name,
                   .type = is_leaf ? mode_t{S_IFREG} : mode_t{S_IFDIR},
                   .size = is_leaf ? size : 0};
  };
  for (const auto& [full, text] : files_) add(full, text.size(), true);
  for (const auto& [full, made] : directories_) add(full, 0, false);
  std::vector<NamespaceEntry> entries;
  for (auto& [name, entry] : found) entries.push_back(std::move(entry));
  return entries;
}

Status FakeNamespace::remove(const Caller& caller, const std::string& path) {
  {
    Lock lock(mutex_);
    if (!files_.contains(path) && !is_directory(path)) {
      return fail(ENOENT, "{}: no such file or directory", path);
    }
  }
  TRY(caller.kernel->record_change(caller, {.operation = "remove", .path = path}));
  Lock lock(mutex_);
  std::erase_if(files_, [&](const auto& file) { return text::is_in(file.first, path); });
  std::erase_if(directories_, [&](const auto& one) { return text::is_in(one.first, path); });
  return ok();
}

Status FakeNamespace::restore(const Caller&, const std::vector<RestoreStep>& steps,
                              RestoreCourse&) {
  return fail(ENOTSUP, "{}: there is no history in this namespace", steps.front().path);
}

void FakeNamespace::command(const Caller& caller, const std::string& path, std::string line,
                            Completion<std::string> reply) {
  ++commands_;
  if (holds_commands_) {
    reply.on_cancel([path, reply] { reply.complete(fail(EINTR, "{}: interrupted", path)); });
    return;
  }
  if (!on_command) {
    reply.complete(fail(ENOENT, "{}: no such file or directory", path));
    return;
  }
  reply.complete(on_command(caller, path, line));
}

}  // namespace agentfs::test
