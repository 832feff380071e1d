// SPDX-License-Identifier: MIT
#include "fs/vfs/bypassed_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <limits>

#include "base/file_times.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/text.h"

namespace agentfs::vfs {
namespace {

constexpr std::size_t kLongest = 1U << 20U;  // bytes of the log before it is begun anew
// In the log, of what may have changed unseen.
constexpr std::int64_t kUnsure = std::numeric_limits<std::int64_t>::min();

std::int64_t told_time(const BypassedFiles::File& file) {
  return file.is_unsure ? kUnsure : file.changed;
}

// The lines of the log: a file that is open (its newest line holds), what it has become, its end.
std::string opened_line(std::uint64_t number, const BypassedFiles::File& file) {
  const HostCaller& host = file.author.host;
  return fmt::format("{} {} {} {} {} {} {} {} {} {} {} s{} c{}\n", number,
                     file.is_written ? "written" : "open", file.size, told_time(file),
                     text::hex(file.path), file.inode, file.writers, file.author.process.value,
                     host.pid, host.uid, host.gid, host.session, text::hex(host.command));
}
std::string changed_line(std::uint64_t number, const BypassedFiles::File& file) {
  return fmt::format("{} is {} {}\n", number, file.size, told_time(file));
}
std::string closed_line(std::uint64_t number) { return fmt::format("{} closed\n", number); }

template <class Number>
Number as(std::string_view word) {
  return text::number<Number>(word).value_or(0);
}

BypassedFiles::File file_of(const std::vector<std::string_view>& words) {
  BypassedFiles::File file;
  file.path = text::unhex(words[4]).value_or("");
  file.inode = as<std::uint64_t>(words[5]);
  file.writers = as<unsigned>(words[6]);
  file.author.process.value = as<std::uint64_t>(words[7]);
  HostCaller& host = file.author.host;
  host.pid = as<pid_t>(words[8]);
  host.uid = as<uid_t>(words[9]);
  host.gid = as<gid_t>(words[10]);
  host.session = words[11].substr(1);
  host.command = text::unhex(words[12].substr(1)).value_or("");
  return file;
}

// One line into what is known; a line that a power failure cut off says nothing.
void apply(std::string_view line, std::map<std::uint64_t, BypassedFiles::File>& files) {
  constexpr std::size_t kOpened = 13;
  const auto words = text::words(line);
  if (words.size() < 2) return;
  const auto number = as<std::uint64_t>(words[0]);
  if (words[1] == "closed") {
    files.erase(number);
    return;
  }
  if (words.size() < 4) return;
  const bool is_written = words[1] == "written";
  if ((words[1] == "open" || is_written) && words.size() == kOpened) {
    files[number] = file_of(words);
    files[number].is_written = is_written;
  }
  const auto found = files.find(number);
  if (found == files.end()) return;
  found->second.size = as<std::int64_t>(words[2]);
  found->second.changed = as<std::int64_t>(words[3]);
  found->second.is_unsure = found->second.changed == kUnsure;
}

void take_over(BypassedFiles::File& file, const struct stat& now) {
  file.size = now.st_size;
  file.changed = nanoseconds_of(now.st_mtim);
  file.is_unsure = !tells_writes(now);
}

bool has_changed(const BypassedFiles::File& before, const struct stat& now) {
  const bool has_time = before.changed == kUnsure || before.changed == nanoseconds_of(now.st_mtim);
  return now.st_size != before.size || !has_time;
}

}  // namespace

std::optional<BypassedFiles::Change> BypassedFiles::change_of(const File& before,
                                                              const struct stat& now) {
  // What was empty and is has nothing that could be another.
  const bool may_have_changed = before.is_unsure && before.size != 0;
  if (!before.is_written && !may_have_changed && !has_changed(before, now)) return {};
  const std::int64_t grown = now.st_size - before.size;
  return Change{grown > 0 ? static_cast<std::uint64_t>(grown) : 0, before.writers, before.author};
}

TreeChange BypassedFiles::Change::row(std::string path) const {
  TreeChange row{.operation = "write", .path = std::move(path), .bytes = bytes};
  if (writers > 1) row.details.emplace_back("writers", writers);
  return row;
}

void BypassedFiles::begin(const void* file, const Caller& author, std::string path,
                          const struct stat& now) {
  add(file, author, std::move(path), now, false);
}

void BypassedFiles::begin_written(const void* open, const Caller& author, std::string path,
                                  const struct stat& now) {
  add(open, author, std::move(path), now, true);
}

void BypassedFiles::add(const void* key, const Caller& author, std::string path,
                        const struct stat& now, bool is_written) {
  Lock lock(mutex_);
  Open& open = open_[key];
  if (open.number == 0) {
    open.number = next_++;
    open.file.is_written = is_written;
    take_over(open.file, now);
  }
  open.file.path = std::move(path);
  open.file.author = author;
  open.file.inode = now.st_ino;
  ++open.file.writers;
  write(opened_line(open.number, open.file));
}

void BypassedFiles::end(const void* file) {
  Lock lock(mutex_);
  const auto found = open_.find(file);
  if (found == open_.end()) return;
  Open& open = found->second;
  if (--open.file.writers > 0) return write(opened_line(open.number, open.file));
  write(closed_line(open.number));
  open_.erase(found);
  if (written_ <= kLongest) return;
  if (open_.empty() && left_.empty() && log_ && ::ftruncate(log_.get(), 0) == 0) {
    written_ = 0;
  } else if (written_ > 16 * kLongest) {
    begin_log();
  }
}

void BypassedFiles::rename(const void* file, std::string path) {
  Lock lock(mutex_);
  const auto found = open_.find(file);
  if (found == open_.end() || found->second.file.path == path) return;
  found->second.file.path = std::move(path);
  write(opened_line(found->second.number, found->second.file));
}

void BypassedFiles::leave(const void* file) {
  Lock lock(mutex_);
  const auto found = open_.find(file);
  if (found == open_.end()) return;
  left_.push_back(std::move(found->second));
  open_.erase(found);
}

std::optional<BypassedFiles::Change> BypassedFiles::look(const void* file, const struct stat& now,
                                                         bool is_release) {
  Lock lock(mutex_);
  const auto found = open_.find(file);
  if (found == open_.end()) return {};
  const File& before = found->second.file;
  if (is_release && !has_changed(before, now)) return {};
  const auto change = change_of(before, now);
  if (!change) return {};
  take_over(found->second.file, now);
  write(changed_line(found->second.number, found->second.file));
  return change;
}

void BypassedFiles::settle(const void* file, const struct stat& now) {
  Lock lock(mutex_);
  const auto found = open_.find(file);
  if (found == open_.end()) return;
  take_over(found->second.file, now);
  write(changed_line(found->second.number, found->second.file));
}

std::vector<BypassedFiles::File> BypassedFiles::left_behind() const {
  const auto text = path_.empty() ? std::string() : file::read(path_).value_or("");
  std::map<std::uint64_t, File> left;
  for (const std::string_view line : text::lines(text)) apply(line, left);
  std::vector<File> files;
  for (auto& [number, file] : left) files.push_back(std::move(file));
  return files;
}

void BypassedFiles::start() {
  Lock lock(mutex_);
  begin_log();
}

void BypassedFiles::write(std::string_view line) {
  if (!has_begun_) return;
  if (!log_) begin_log();  // there may be room again
  if (!log_) return;
  written_ += line.size();
  if (const Status told = file::write_all(log_.get(), line); !told) {
    tell_amiss(told.error());
    log_.reset();
  }
}

void BypassedFiles::tell_amiss(const Error& error) {
  if (std::exchange(is_amiss_, true)) return;
  log::error("{}: {}; what is open is not accounted for if the daemon dies before there is room",
             path_, error.message);
}

void BypassedFiles::begin_log() {
  if (path_.empty()) return;
  std::string text;
  for (const Open& open : left_) text += opened_line(open.number, open.file);
  for (const auto& [file, open] : open_) text += opened_line(open.number, open.file);
  has_begun_ = true;
  written_ = 0;
  log_.reset();
  if (const Status replaced = file::replace(path_, text, 0600); !replaced) {
    return tell_amiss(replaced.error());
  }
  log_ = UniqueFd(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  is_amiss_ = is_amiss_ && !log_;
}

}  // namespace agentfs::vfs
