// SPDX-License-Identifier: MIT
// A session that serves a file system to a WireKernel.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "backends/tree_store.h"
#include "fs/fuse/session.h"
#include "support/test_kernel.h"
#include "wire/wire_kernel.h"
#include "wire/world.h"

namespace agentfs::test {

// One session over any file system. Ends with it, in order; checks then that the protocol was kept.
class WireSession {
 public:
  WireSession(vfs::FileSystem& files, vfs::Services& services, unsigned threads);
  ~WireSession();
  WireSession(const WireSession&) = delete;
  WireSession& operator=(const WireSession&) = delete;

  void stop();     // the daemon's end; parked requests are answered
  Status close();  // the kernel's end; what run() gave
  WireKernel& wire() { return *wire_; }
  fuse::Session& session() { return *session_; }

 private:
  std::unique_ptr<WireKernel> wire_;
  std::unique_ptr<fuse::Session> session_;
  Status outcome_ = ok();
  std::thread runner_;
};

// A process of the host that does nothing, for its number.
class Bystander {
 public:
  Bystander();
  ~Bystander();
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

// The small world of world.h and a data tree over a temporary directory, served and initialised.
class Served {
 public:
  struct Options {
    unsigned threads = 2;
    bool initialise = true;
  };
  Served() : Served(Options{}) {}
  explicit Served(Options options);

  WireKernel& wire() { return session->wire(); }
  std::string disk(std::string_view name) const {
    return directory.path() + "/" + std::string(name);
  }
  // Looks up and opens; the place to read from and write to. Fails the test when it cannot.
  WireKernel::Place open(std::string_view path, int flags = 0);
  std::string read_all(std::string_view path);  // lookup, open, read, release

  TemporaryDirectory directory;
  World world;
  FakeServices services;
  std::unique_ptr<TreeStore> store;
  std::unique_ptr<vfs::FileSystem> files;
  std::unique_ptr<WireSession> session;
};

}  // namespace agentfs::test
