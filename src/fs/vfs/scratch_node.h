// SPDX-License-Identifier: MIT
// A temporary name beside synthetic files: a small file, or an editor's lock link.
#pragma once

#include <string>

#include "fs/vfs/context.h"

namespace agentfs::vfs {

// Kept in memory; at most 1 MiB. Threads: all.
class ScratchNode final : public Node {
 public:
  static constexpr std::size_t kLargest = 1U << 20U;
  static constexpr std::int64_t kLifetime = 60'000'000'000;  // nanoseconds after the last change

  // `text` is the target where `mode` is that of a link.
  ScratchNode(ContextRef context, ScratchTable::Place place, mode_t mode, std::string text);

  mode_t type() const override { return mode_type_; }
  std::string path() const override;
  Result<Attributes> attributes(Request&) override;
  Result<Attributes> set_attributes(Request&, Handle*, const SetAttributes& wanted) override;
  Result<std::string> read_link(Request&) override;
  Result<Opened> open(Request&, int flags) override;

  std::string text() const;
  std::string read(std::uint64_t offset, std::size_t count) const;
  // EMSGSIZE past 1 MiB; ESTALE once the text was taken.
  Status write(std::uint64_t offset, std::string_view bytes);
  // The text is received under another name: what would be written behind it would be lost.
  std::string take_text();
  void give_back();  // it was refused there
  std::uint64_t size() const;
  ScratchTable::Place place() const;
  void move_to(ScratchTable::Place place);
  Context& context() const { return *context_; }
  bool is_over() const { return remaining() <= 0; }
  // Removes it from the table once it has not changed for a minute.
  static void arm(const std::shared_ptr<ScratchNode>& node);

 private:
  static void expire(const std::weak_ptr<ScratchNode>& weak);
  std::int64_t remaining() const;
  void touch() REQUIRES(mutex_);
  Status check_change(std::uint64_t offset, std::size_t count) const REQUIRES(mutex_);

  const ContextRef context_;
  const mode_t mode_type_;
  mutable Mutex<Rank::handle> mutex_;
  ScratchTable::Place place_ GUARDED_BY(mutex_);
  std::string text_ GUARDED_BY(mutex_);
  bool is_taken_ GUARDED_BY(mutex_) = false;
  struct stat stat_ GUARDED_BY(mutex_) {};
  std::int64_t touched_ GUARDED_BY(mutex_) = 0;  // steady
};

}  // namespace agentfs::vfs
