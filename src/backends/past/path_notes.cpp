// SPDX-License-Identifier: MIT
#include "backends/past/path_notes.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

namespace agentfs {
namespace {

constexpr off_t kLarge = 8 << 20;  // some 30,000 paths

std::string line_of(std::uint64_t number, const PathNotes::Note& note) {
  json::Value line;
  line.set("number", number);
  if (!note.path.empty()) json::set_bytes(line, "path", note.path);
  if (!note.now.empty()) json::set_bytes(line, "now", note.now);
  return json::dump(line) + "\n";
}

}  // namespace

void PathNotes::open(const IsKept& is_kept) {
  const Lock alone(mutex_);
  std::string kept;
  for (const auto& [number, note] : read()) {
    if (is_kept(number)) kept += line_of(number, note);
  }
  const std::string all = file::read(path_).value_or("");
  const bool is_thinned = all == kept || file::replace(path_, kept, 0600);
  file_ = std::make_shared<const UniqueFd>(
      ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!*file_) log::warning("{}", fail_errno(path_).error().message);
  size_ = static_cast<off_t>((is_thinned ? kept : all).size());
  large_ = std::max(kLarge, 2 * size_);
}

Status PathNotes::add(std::uint64_t number, const Note& note) {
  const std::string line = line_of(number, note);
  const Lock alone(mutex_);
  const Status written = file::write_all(file_->get(), line);
  if (written) {
    size_ += static_cast<off_t>(line.size());
  } else if (::ftruncate(file_->get(), size_) != 0) {  // the next one is to be a line of its own
    return fail_errno(path_);
  }
  return written;
}

bool PathNotes::is_large() const {
  const Lock lock(mutex_);
  return size_ > large_;
}

Status PathNotes::sync() const {
  std::shared_ptr<const UniqueFd> file;
  {
    const Lock lock(mutex_);
    file = file_;
  }
  if (!*file) return ok();  // nothing was noted
  return ::fdatasync(file->get()) == 0 ? ok() : fail_errno(path_);
}

std::map<std::uint64_t, PathNotes::Note> PathNotes::read() const {
  std::map<std::uint64_t, Note> notes;
  const auto all = file::read(path_);
  if (!all) return notes;
  for (const std::string_view line : text::split(*all, '\n')) {
    const auto value = json::parse(line);
    if (!value) continue;
    Note& note = notes[static_cast<std::uint64_t>((*value)["number"].number())];
    if (std::string path = json::bytes_of(*value, "path"); !path.empty()) note.path = path;
    if (std::string now = json::bytes_of(*value, "now"); !now.empty()) note.now = now;
  }
  return notes;
}

}  // namespace agentfs
