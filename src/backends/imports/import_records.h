// SPDX-License-Identifier: MIT
// What is known of one import: where it comes from, and what each of its paths was.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "backends/import_store.h"
#include "base/json.h"
#include "base/mutex.h"

namespace agentfs::imports {

// A name beside the directories of the imports: ImportStore::set_astray().
inline constexpr std::string_view kAstray = "astray";

// One path as it was when it was recorded; a state that does not exist: it was gone.
struct Entry {
  std::string path{};
  FileState state{};
};

// Whether two states of a path of the host are one that nobody changed in between. The number of
// the device is left out, since a restart of the host gives another; of directories permissions
// count, as their entries are recorded one by one.
bool is_unchanged(const FileState& one, const FileState& other);

// By the number and, where it is known of both, when it was made: old records and some disks do not
// tell.
bool is_one_inode(const FileState& one, const FileState& other);

// One file, link or fifo: its permissions and names may be others, what it holds is not.
bool has_same_bytes(const FileState& one, const FileState& other);

FileState state_from(const struct stat& attributes);

// As members of a JSON value; of one that does not exist, none.
void put_state(json::Value& value, const FileState& state);
FileState state_in(const json::Value& value);

// Threads: all; append() is one at a time. Lives below `directory`:
//   about     {"source": path, "inode": of that directory, "made": when that was made}
//   entries   one JSON value a line, numbered from 0
//   torn-<n>  what was no record at the end of the entries, from byte n on
//   kept/<n>  the bytes of entry n, where the source may have changed
//   mark      {"entries": how many there were, "note": text}, while it is not known yet whether
//             those after it count (ImportStore::mark())
//   writing   the steps of a write() that is about to begin, in order (host_steps.h)
//   applying  the same, once the first of them may have been made
//   written   what such have made since the mark, each path with a NUL
class ImportRecords {
 public:
  static Result<std::shared_ptr<ImportRecords>> create(const std::string& directory,
                                                       const std::string& source,
                                                       const FileState& top = {});
  static Result<std::shared_ptr<ImportRecords>> load(const std::string& directory);

  // Bytes of `entries` that are no record, where it does not end with a line: a crash or damage has
  // left them. They are passed over, and stay till something is to be written.
  std::optional<std::size_t> torn() const;
  // Moves them to torn-<offset> beside it; the name, or "" where `entries` ends with a line.
  Result<std::string> set_torn_aside();

  // What create() left when it was cut short: nothing can be lent of that, and there is no tree of
  // it in `trees`.
  static bool is_unmade(const std::string& directory, const std::string& trees);
  static void remove_unmade(const std::string& imports, const std::string& trees);

  const std::string& source() const { return source_; }
  const FileState& top() const { return top_; }  // of that directory then; inode 0: not known
  const std::string& directory() const { return directory_; }
  std::string kept_directory() const { return directory_ + "/kept"; }
  std::string kept_name(std::size_t number) const;

  std::optional<Entry> entry(std::size_t number) const;
  // The newest of a path.
  std::optional<std::size_t> find(const std::string& path) const;
  bool is_newest(std::size_t number) const;  // of its path
  // All that are known to hold the same bytes, the last ones first.
  std::vector<std::size_t> with_same_bytes(std::size_t number) const;
  FileState state(const std::string& path) const;  // one that does not exist where there is none
  std::map<std::string, FileState> current() const;
  std::vector<std::string> files() const;  // the paths of the regular ones
  // These and other names of the same files: they change with each other.
  std::set<std::string> with_links(const std::vector<std::string>& paths) const;
  Status append(const std::vector<Entry>& entries);

  Status mark(const std::string& note);
  std::optional<std::string> marked() const;
  std::map<std::string, FileState> current_at_mark() const;  // where there is none, current()
  Status go_back();
  std::size_t count() const;
  Status go_back(std::size_t records, const std::set<std::string>& paths);
  Status unmark();
  std::set<std::string> written() const;  // since mark(): of a write() that is over
  Status add_written(const std::vector<std::string>& paths) const;

 private:
  ImportRecords(std::string directory, std::string source, const FileState& top)
      : directory_(std::move(directory)), source_(std::move(source)), top_(top) {}
  struct Mark {
    std::size_t entries = 0;
    std::string note{};
  };
  struct Torn {
    off_t at = 0;  // the end of the last record
    std::string bytes{};
  };
  void put(Entry entry) REQUIRES(mutex_);
  void load_end(std::string_view end, off_t at) REQUIRES(mutex_);
  std::string entries_name() const { return directory_ + "/entries"; }
  std::map<std::string, FileState> first(std::size_t entries) const REQUIRES(mutex_);
  Status load_mark() REQUIRES(mutex_);
  std::string mark_name() const { return directory_ + "/mark"; }
  std::string written_name() const { return directory_ + "/written"; }

  const std::string directory_;
  const std::string source_;
  const FileState top_;
  mutable Mutex<Rank::store> mutex_;
  std::vector<Entry> entries_ GUARDED_BY(mutex_);
  std::map<std::string, std::size_t> newest_ GUARDED_BY(mutex_);  // of what is there
  std::optional<Mark> mark_ GUARDED_BY(mutex_);
  std::optional<Torn> torn_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::imports
