// SPDX-License-Identifier: MIT
// Messages that were written and not yet delivered, because their last close is still on its way.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"

namespace agentfs::vfs {

// A descriptor that holds a message. Threads: all.
class MessageSource {
 public:
  virtual ~MessageSource() = default;
  virtual void deliver_now() = 0;  // what was written so far; errors are noted
};

// By session and directory, so that a `wait` in a directory first delivers what its own session
// wrote there. Threads: all.
class Undelivered {
 public:
  void add(const std::string& session, const std::string& directory,
           const std::shared_ptr<MessageSource>& source);
  void remove(const std::string& session, const std::string& directory,
              const MessageSource* source);
  void deliver(const std::string& session, const std::string& directory);

 private:
  struct Entry {
    const MessageSource* identity = nullptr;
    std::weak_ptr<MessageSource> source;
  };
  Mutex<Rank::queue> mutex_;
  std::unordered_map<std::string, std::vector<Entry>> waiting_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::vfs
