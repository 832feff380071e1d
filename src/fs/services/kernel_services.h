// SPDX-License-Identifier: MIT
// The kernel, as the file system layer sees it.
#pragma once

#include "fs/vfs/services.h"
#include "kernel/kernel.h"

namespace agentfs {

// Threads: all. The kernel outlives it.
class KernelServices final : public vfs::Services {
 public:
  explicit KernelServices(Kernel& kernel) : kernel_(kernel) {}
  Caller identify(const HostCaller& host) override { return kernel_.identify(host); }
  bool asks_for_child() override { return kernel_.runs_unconfined(); }
  Result<Caller> ensure_caller(const HostCaller& host) override {
    return kernel_.ensure_caller(host);
  }
  void note_error(const Caller& caller, std::string_view path, const Error& error) override;
  Status record_change(const Caller& caller, const TreeChange& change) override {
    return kernel_.record_change(caller, change);
  }
  Status check_room(bool makes_room) override;
  bool is_tree_busy(const std::string& root) override;
  Result<Hold> hold_tree(const std::string& root) override;
  Result<Hold> hold_import(const std::string& root) override;
  Status record_control(const Caller& caller, const std::string& path,
                        std::string_view text) override;
  Status may_change(const Caller& caller, const std::string& path) override {
    return kernel_.may_change(caller, path);
  }
  std::optional<vfs::FileOwner> owner_of(std::string_view path) override;
  bool keeps_history() override;
  bool lies_ready(const std::string& path) override;
  bool was_left_ready(const std::string& path) override;
  std::string why_not_kept(std::uint64_t size, bool by_copy) override;
  json::Value recovered(const std::string& path) override;
  std::uint64_t trashed(const std::string& path) override;
  Quotas quotas() override { return kernel_.quotas(); }
  WriteGuard* guard() override;
  void make_room() override;
  Status begin_temporary(const std::string& path) override;
  void end_temporary(const std::string& path) override;
  void follow_temporaries(const std::string& from, const std::string& to,
                          bool is_exchange) override;
  Status sync() override { return kernel_.sync(); }
  void count(std::string_view session, std::string_view operation) override;
  void feature(std::string_view name, bool on) override;
  const Clock& clock() override { return kernel_.clock(); }
  EventLoop& loop() override { return kernel_.loop(); }
  WorkerPool& notices() override { return notices_; }

 private:
  Kernel& kernel_;
  WorkerPool notices_{1};
};

}  // namespace agentfs
