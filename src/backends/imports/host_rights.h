// SPDX-License-Identifier: MIT
// Directories of the host that are closed to their owner, open for as long as a write lasts.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "backends/imports/host_directory.h"
#include "backends/imports/import_records.h"

namespace agentfs::imports {

// Root needs none. An ordinary user's daemon may change names in a directory of its own that its
// mode closes, as its owner who opens it first: what is in it here was made or removed so. What
// they were is noted before; mend() gives it back after a kill.
//
// One use, one thread.
class HostRights {
 public:
  HostRights(const ImportRecords& records, const HostDirectory& host)
      : records_(records), host_(host) {}
  ~HostRights();
  HostRights(const HostRights&) = delete;
  HostRights& operator=(const HostRights&) = delete;

  // Those of the directories that are there and closed are to be opened; nothing is changed yet.
  // EACCES: one of somebody else.
  Status need(const std::set<std::string>& directories);
  Status open();
  std::vector<std::string> opened() const;
  // It stays as it is made.
  void keep_open(const std::string& directory);

  static Status mend(const ImportRecords& records);

 private:
  struct Closed {
    std::string path{};
    mode_t mode = 0;
  };
  static std::string note_of(const ImportRecords& records) {
    return records.directory() + "/opened";
  }
  static void give_back(const HostDirectory& host, const Closed& one);

  const ImportRecords& records_;
  const HostDirectory& host_;
  std::vector<Closed> closed_;  // from above
  bool is_open_ = false;
};

// EACCES for what an ordinary user's daemon could not read there any more once it has that mode.
Status check_readable(const HostDirectory& host, const std::string& path, mode_t mode);

// EPERM for what is somebody else's there, of which an ordinary user's daemon may not change the
// mode, nor, in a directory where each may remove their own alone, the name (`is_named`).
Status check_ours(const HostDirectory& host, const std::string& path, bool is_named);

}  // namespace agentfs::imports
