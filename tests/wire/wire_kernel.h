// SPDX-License-Identifier: MIT
// The host's kernel as a test plays it: requests of the FUSE protocol over a socket, in any number
// at once, answers in any order.
#pragma once

#include <linux/fuse.h>
#include <sys/types.h>

#include <condition_variable>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/mutex.h"

namespace agentfs::test {

struct WireDirent {
  std::string name;
  std::uint64_t inode = 0;
  std::uint32_t type = 0;
  std::uint64_t next_offset = 0;
  std::uint64_t node = 0;  // of readdirplus; 0: not looked up
};

struct WireNotification {
  int code = 0;  // FUSE_NOTIFY_…
  std::string body;
};

// Who asks, as the header of a request says it.
struct WireCaller {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
};

// One side of a socket pair, whose other side a session has. Used by one thread; a thread of its
// own receives. An answer that does not come within 20 seconds is ETIMEDOUT.
class WireKernel {
 public:
  explicit WireKernel(UniqueFd socket);
  ~WireKernel();
  WireKernel(const WireKernel&) = delete;
  WireKernel& operator=(const WireKernel&) = delete;

  WireCaller caller;

  // --- any request
  // Sends it and gives its number. Requests that have no answer are told by `answered`.
  std::uint64_t send(std::uint32_t opcode, std::uint64_t node, std::string_view body);
  bool send_raw(std::string_view message);
  std::uint64_t coming_number() const { return next_number_ + 2; }  // of the next send()
  // The body of the answer, or its error.
  Result<std::string> await(std::uint64_t number);
  Result<std::string> call(std::uint32_t opcode, std::uint64_t node, std::string_view body) {
    return await(send(opcode, node, body));
  }
  bool is_answered(std::uint64_t number) const;
  void interrupt(std::uint64_t number);
  std::vector<WireNotification> notifications() const;
  bool await_notification(int code);
  // Answers to numbers that were not asked, second answers, answers that are not well formed.
  std::vector<std::string> violations() const;
  void close();  // as the host's kernel does when the mount goes

  // --- requests by name
  Result<fuse_init_out> init(std::uint32_t flags = ~0U);
  Result<fuse_entry_out> lookup(std::uint64_t parent, std::string_view name);
  // As it comes: node 0 is a name that is not there, to be believed for as long as it says.
  Result<fuse_entry_out> answer_to_lookup(std::uint64_t parent, std::string_view name);
  Result<fuse_entry_out> walk(std::string_view path);  // from the root
  void forget(std::uint64_t node, std::uint64_t lookups);
  Result<fuse_attr_out> attributes(std::uint64_t node);
  Result<fuse_attr_out> set_attributes(std::uint64_t node, const fuse_setattr_in& wanted);
  Result<fuse_open_out> open(std::uint64_t node, int flags);
  Result<fuse_open_out> open_directory(std::uint64_t node);
  Result<std::pair<fuse_entry_out, fuse_open_out>> create(std::uint64_t parent,
                                                          std::string_view name, int flags,
                                                          mode_t mode);
  struct Place {
    std::uint64_t node = 0;
    std::uint64_t handle = 0;
    std::uint64_t offset = 0;
    int flags = 0;
  };
  std::uint64_t start_read(const Place& place, std::uint32_t size);
  std::uint64_t start_write(const Place& place, std::string_view bytes);
  Result<std::string> read(const Place& place, std::uint32_t size = 65536);
  Result<std::uint32_t> write(const Place& place, std::string_view bytes);
  Result<std::string> flush(const Place& place);
  Result<std::string> release(const Place& place);
  Result<std::string> release_directory(const Place& place);
  Result<std::string> fsync(const Place& place);
  Result<std::vector<WireDirent>> list(const Place& place, std::uint32_t size = 4096);
  Result<std::vector<WireDirent>> list_plus(const Place& place, std::uint32_t size = 4096);
  Result<unsigned> poll(const Place& place, std::uint64_t wake);  // wake 0: only asks
  Result<std::string> unlink(std::uint64_t parent, std::string_view name);
  Result<std::string> remove_directory(std::uint64_t parent, std::string_view name);
  Result<fuse_entry_out> make_directory(std::uint64_t parent, std::string_view name, mode_t mode);
  struct Name {
    std::uint64_t parent = 0;
    std::string_view name;
  };
  std::uint64_t start_rename(const Name& from, const Name& to, unsigned flags = 0);
  Result<std::string> rename(const Name& from, const Name& to, unsigned flags = 0) {
    return await(start_rename(from, to, flags));
  }
  Result<std::uint64_t> seek(const Place& place, int whence);
  Result<std::string> allocate(const Place& place, std::uint64_t length, std::uint32_t mode = 0);
  Result<std::uint32_t> copy_range(const Place& from, const Place& to, std::uint64_t length);
  Result<std::string> set_xattr(std::uint64_t node, std::string_view name, std::string_view value);
  Result<std::string> get_xattr(std::uint64_t node, std::string_view name, std::uint32_t room);

 private:
  void receive();
  void take(std::string_view message);

  UniqueFd socket_;
  std::uint64_t next_number_ = 1000;
  mutable Mutex<Rank::queue> mutex_;
  std::condition_variable_any arrived_;
  std::set<std::uint64_t> asked_ GUARDED_BY(mutex_);
  std::map<std::uint64_t, Result<std::string>> answers_ GUARDED_BY(mutex_);
  std::vector<WireNotification> notifications_ GUARDED_BY(mutex_);
  std::vector<std::string> violations_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
  std::thread receiver_;
};

// The plain structs of the protocol as bytes, and back. A short answer is EPROTO.
template <class Struct>
std::string wire_bytes(const Struct& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
template <class Struct>
Result<Struct> wire_struct(const Result<std::string>& answer) {
  if (!answer) return std::unexpected(answer.error());
  if (answer->size() < sizeof(Struct)) {
    return fail(EPROTO, "answer: {} bytes instead of {}", answer->size(), sizeof(Struct));
  }
  Struct value;
  std::memcpy(&value, answer->data(), sizeof value);
  return value;
}

// 0, or the errno.
template <class T>
int code_of(const Result<T>& result) {
  return result ? 0 : result.error().code;
}

}  // namespace agentfs::test
