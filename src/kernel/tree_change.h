// SPDX-License-Identifier: MIT
// A change below a data tree, as vfs tells it and the journal keeps it.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/xattrs.h"

namespace agentfs {

// `path` and `other` are paths of the mount. kernel/kinds.h has the operations and their details.
struct TreeChange {
  std::string operation{};
  std::string path{};
  std::string other{};      // the new name of a rename, the first name of a hard link
  std::uint64_t bytes = 0;  // 0: not told
  json::Object details{};   // further members of the record
  // Of what is kept: a rename replaces what has the new name.
  const std::string& kept_path() const { return operation == "rename" ? other : path; }
};

// What has become of a path of a data tree by a change that did not come through the mount.
struct TreeEvent {
  // `walked`: nothing; the host's kernel is to ask for the names of its path, or of several, each
  // ended by a NUL. `returned`: it was away, or something else was there, and is as before.
  // `replaced`: a whole tree, or directories in it: nobody was told yet of what has gone with them.
  enum class Kind { made, written, attributes, removed, walked, returned, replaced };
  Kind kind = Kind::written;
  std::string path{};
  mode_t type = 0;  // S_IFREG, S_IFDIR, … of what is there or was removed; 0: to be looked at
  std::shared_ptr<void> held{};  // let go when watchers were told, or will not be
};

// As members of a row or an order; texts are any bytes.
void put_details(json::Value& row, const TreeChange& change);

// What of a file is no hole.
std::uint64_t solid_bytes(const struct stat& file);
// The member `kept` of a change's row: what was there before, kept under this number. `type` is a
// name of FileVersion::Type. `held` is left out where the blocks are those of the size.
json::Value kept_row(std::uint64_t number, std::string_view type, const struct stat& attributes);

// Extended attributes: names and values, any bytes.
void set_xattrs(json::Value& row, const Xattrs& xattrs);  // nothing where there are none
Xattrs xattrs_of(const json::Value& row);

}  // namespace agentfs
