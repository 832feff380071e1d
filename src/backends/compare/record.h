// SPDX-License-Identifier: MIT
// A merge that is under way, as steps that can each be seen on the disk to have happened or not.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/compare.h"
#include "backends/compare/attributes.h"

namespace agentfs::compare {

// All but `mode` are renames between a path of ours and a name in kMergeDirectory.
struct MergeStep {
  enum class Kind : char {
    take = 't',  // `path` goes to `name`
    put = 'p',   // `name` goes to `path`, where nothing is
    swap = 's',  // `path` and `name` change places
    mode = 'm',  // the permissions of `path` become those of `after`
  };
  Kind kind = Kind::take;
  std::string path{};
  std::string name{};
  FileState before{};  // what ours has at `path` before it; of put: nothing
  FileState after{};   // what it has there after it; of take: nothing
  bool whole = false;  // a directory, with all in it
  bool fresh = false;  // what it puts there is new to whoever had the file: see stamps.h
  // Of `mode`, of a directory: its owner and extended attributes change, too.
  std::optional<FileAttributes> had{};
  std::optional<FileAttributes> gets{};
};

// Of a fold: what comes from an overlay's upper directory. In the order in which it comes.
struct FoldPiece {
  enum class Kind : char {
    adopt = 'a',  // `from`, in the upper directory, becomes `name`
    index = 'i',  // the same of a name in the index
    link = 'l',   // `name` is another name of the piece `from`
    aside = 'x',  // `from` goes aside as `name`: it is in a directory that comes as a whole
  };
  Kind kind = Kind::adopt;
  std::string from{};
  std::string name{};
};

// How a directory of the tree shall be once all is in its place.
struct FoldDress {
  std::string path{};
  std::optional<mode_t> mode{};  // permissions; nothing: as they are
  std::int64_t modified = 0;
  Xattrs xattrs{};
};

struct MergeRecord {
  bool durable = true;
  std::vector<MergeStep> steps{};  // in the order in which they are made
  std::vector<FoldPiece> pieces{};
  std::vector<FoldDress> dresses{};
};

std::string to_text(const MergeRecord& record);
Result<MergeRecord> record_of(std::string_view text);  // EBADMSG

}  // namespace agentfs::compare
