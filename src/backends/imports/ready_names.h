// SPDX-License-Identifier: MIT
// Names of files that lie ready in directories of the host, to be renamed into their places.
#pragma once

#include <string>
#include <utility>

namespace agentfs::imports {

// One such name, from before there is a file of it until after there is none. They are known to all
// imports of the process, since a directory may be in several; files of others may be called alike.
// Threads: all.
class ReadyName {
 public:
  ReadyName();
  ~ReadyName();
  ReadyName(ReadyName&& other) noexcept : name_(std::exchange(other.name_, {})) {}
  ReadyName& operator=(ReadyName&&) = delete;

  const std::string& text() const { return name_; }
  static bool is_one(const std::string& name);

 private:
  std::string name_;
};

}  // namespace agentfs::imports
