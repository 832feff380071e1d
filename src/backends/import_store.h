// SPDX-License-Identifier: MIT
// Directories of the host that workspaces are made of: what they held when they were looked at, and
// how changes are brought back to them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backends/compare.h"
#include "backends/lender.h"
#include "base/text.h"
#include "base/xattrs.h"

namespace agentfs {

// A path of the directory, relative, and what is recorded of it and there now; a state that does
// not exist where there is nothing.
struct HostDrift {
  std::string path{};
  FileState recorded{};
  FileState now{};
};

inline std::unexpected<Error> refuse_drift(const std::string& source,
                                           const std::vector<std::string>& paths,
                                           std::string_view written = "nothing") {
  return fail(EBUSY,
              "{}: changed there since it was last looked at: {}; {} was written, and `rebase` "
              "takes these changes over first",
              source, text::shown_some(paths), written);
}

// What a path shall become.
struct HostChange {
  std::string path{};
  FileState to{};  // type, permissions and time of change of content; nothing: it is removed
  std::function<Result<UniqueFd>()> content{};  // of a regular file; null: it stays
  std::string target{};                         // of a link
  // Of a file or directory that is there, what it shall have beside that: its ACLs, and what goes
  // along with a file (base/xattrs.h); and what it had of these. Only what differs is made, and
  // attributes alone are no change.
  Xattrs xattrs{};
  Xattrs had_xattrs{};
  // Owner of what was not there, or of another type, where the daemon may give files away.
  uid_t uid = 0;
  gid_t gid = 0;
  bool lost_set_id = false;  // `to` had set-user-id or set-group-id, and has not any more
};

// What a write() has come to, ordered by path.
struct HostWritten {
  // What the source has of it by now, and, of what others changed again since, what was written:
  // a state that the source never has.
  std::vector<HostDrift> drifts{};
  std::set<std::string> overtaken{};  // paths of the latter
  // Other names of the same files, which have other links, or another mode, now.
  std::vector<HostDrift> links{};
};

// The source is read and, by write() alone, written; no file of it is linked or locked. Recorded
// are its directories, regular files, links and fifos; sockets, devices and what lies ready for a
// write are passed over, and a file or link .git that leads out of the directory, as a git worktree
// has.
//
// Records are appended to STATE/imports/<id>/entries and never changed, since lent files name them;
// the last one of a path counts.
//
// Threads: all; one record() or write() of an import at a time. Errors: ENOENT for an import that
// there is none of; EACCES for a source that cannot be read, naming the path; the disk's own.
class ImportStore : public Lender {
 public:
  // `source` is canonical. Nothing of it is recorded yet.
  virtual Result<std::uint32_t> add(const std::string& source) = 0;
  virtual void remove(std::uint32_t id) = 0;  // and all that is kept for it
  virtual std::vector<std::uint32_t> all() const = 0;
  // Once workspaces of imports have become plain ones, as in a copy of the state; until all that is
  // lent there has been copied. Durable when it returns.
  virtual Status set_astray(bool astray) = 0;
  virtual Result<std::string> source(std::uint32_t id) const = 0;

  // Where the directory is not as recorded, ordered by path, so that directories come before what
  // is in them. Looks at every path of it. `whole`: in .git directories, too, whose changes are
  // otherwise git's own affair.
  virtual Result<std::vector<HostDrift>> drift(std::uint32_t id, bool whole) const = 0;
  // The same for these paths alone, and for other names of the same files.
  virtual Result<std::vector<HostDrift>> drift(std::uint32_t id,
                                               const std::vector<std::string>& paths) const = 0;
  // What is there now is what counts from now on. Durable when it returns.
  virtual Status record(std::uint32_t id, const std::vector<HostDrift>& seen) = 0;
  // From mark() to unmark(), also after a crash, the records can be what they were, and drift() of
  // the whole is told from these. One at a time; `note` is the caller's. Durable when it returns.
  virtual Status mark(std::uint32_t id, const std::string& note) = 0;
  virtual std::optional<std::string> marked(std::uint32_t id) const = 0;  // the note
  virtual Status go_back(std::uint32_t id) = 0;  // the mark stays; may be repeated
  // How many records there are; and these paths' become again what they were at such a number.
  virtual Result<std::size_t> records(std::uint32_t id) const = 0;
  virtual Status go_back(std::uint32_t id, std::size_t records,
                         const std::set<std::string>& paths) = 0;
  virtual Status unmark(std::uint32_t id) = 0;  // where there is none: nothing

  // An empty file, open for writing, gets what the recorded path has: size, owner, mode,
  // times, attributes, and its bytes lent; those that a directory .git changes in place are copied.
  virtual Status lend(std::uint32_t id, const std::string& path, int file) const = 0;
  // Of a path of the directory as it is now; "" is the directory itself.
  virtual Result<struct stat> attributes(std::uint32_t id, const std::string& path) const = 0;
  virtual Result<Xattrs> xattrs(std::uint32_t id, const std::string& path) const = 0;
  virtual Result<std::string> read_link(std::uint32_t id, const std::string& path) const = 0;

  // Copies the bytes of these paths, as recorded, to where the source can change without their
  // being lost; paths that are no regular files are passed over, other names of the same files are
  // taken along.
  struct Kept {
    std::uint64_t bytes = 0;
    std::vector<std::string> lost{};  // not as recorded any more; the others are kept
  };
  virtual Result<Kept> keep(std::uint32_t id, const std::vector<std::string>& paths) = 0;
  virtual std::vector<std::string> lent(std::uint32_t id) const = 0;  // paths of files, by records

  // Makes the changes, ordered by path, in the source; the answer is what stays there in
  // directories that were to be removed: what no import records, and .git. All are checked first:
  // where a path is neither as recorded nor as it shall become already, or on the way there, EBUSY
  // and nothing is written. New contents are written beside what they replace, synced, then renamed
  // over it; owner and extended attributes of what is replaced stay. Where one of the renames
  // fails, the error says how far it came; the same call completes it, also after a crash.
  virtual Result<std::vector<std::string>> write(std::uint32_t id,
                                                 const std::vector<HostChange>& changes) = 0;
  // The drift of those of the changes, ordered by path, that write() has made since mark(), also
  // one that was cut short; and what it did to others.
  virtual Result<HostWritten> written(std::uint32_t id,
                                      const std::vector<HostChange>& changes) const = 0;
  // At a start: removes what a write() that a crash cut short left beside the files, and what is
  // left of an add().
  virtual Status settle() = 0;
};

}  // namespace agentfs
