// SPDX-License-Identifier: MIT
// A merge that is under way, as steps that can each be seen on the disk to have happened or not.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backends/compare.h"

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
};

struct MergeRecord {
  bool durable = true;
  std::vector<MergeStep> steps{};  // in the order in which they are made
};

std::string to_text(const MergeRecord& record);
Result<MergeRecord> record_of(std::string_view text);  // EBADMSG

}  // namespace agentfs::compare
