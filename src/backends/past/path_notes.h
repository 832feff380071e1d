// SPDX-License-Identifier: MIT
// What the name of a kept content does not say of its path.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/mutex.h"

namespace agentfs {

// A file beside the contents, JSON lines: {"number":23,"path":"/workspaces/site/…"} of one whose
// path is too long for a name, {"number":23,"now":"/workspaces/site/…"} of one that belongs to
// another path by now. It is read where no row of the journal tells of a content, which is at a
// start. Threads: all.
class PathNotes {
 public:
  struct Note {
    std::string path{};
    std::string now{};
  };

  explicit PathNotes(std::string path) : path_(std::move(path)) {}

  // Takes out what `is_kept` does not hold of, and opens it for add(). Again where it is large
  // (is_large()): a number that is noted meanwhile stays. On a full disk all stay, and where it
  // cannot be opened, which is told, nothing is noted.
  using IsKept = std::function<bool(std::uint64_t number)>;
  void open(const IsKept& is_kept) EXCLUDES(mutex_);
  // What is empty in it stays as it was. Where it cannot be written nothing of it is there.
  Status add(std::uint64_t number, const Note& note) EXCLUDES(mutex_);
  // It has grown to twice of what it was when it was opened.
  bool is_large() const EXCLUDES(mutex_);
  // What was noted survives a power cut when it returns.
  Status sync() const EXCLUDES(mutex_);
  // By number; what cannot be read, as a power cut leaves it, is not there.
  std::map<std::uint64_t, Note> read() const;

 private:
  const std::string path_;
  mutable Mutex<Rank::store> mutex_;
  std::shared_ptr<const UniqueFd> file_ GUARDED_BY(mutex_);
  off_t size_ GUARDED_BY(mutex_) = 0;
  off_t large_ GUARDED_BY(mutex_) = 0;
};

}  // namespace agentfs
