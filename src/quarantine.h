// SPDX-License-Identifier: MIT
// Where fsck puts what is damaged: STATE/quarantine/<time>/, under the path it had in STATE.
#pragma once

#include <string>

#include "base/error.h"

namespace agentfs {

// "20260131T123456Z", for names.
std::string compact_time();

// Nothing is made before something is put in. Nothing in it is ever read, changed or removed again.
class Quarantine {
 public:
  explicit Quarantine(std::string state);
  const std::string& path() const { return path_; }
  // Moves `name`, relative to STATE; what is not there is no error. The path it has now: beside
  // where it was (kDamagedName) where the disk has no way to move it further.
  Result<std::string> take(const std::string& name) const;
  // A file in it to write to, its directories made.
  Result<std::string> place(const std::string& name) const;

 private:
  Result<std::string> take_beside(const std::string& name) const;

  const std::string state_;
  const std::string path_;
};

}  // namespace agentfs
