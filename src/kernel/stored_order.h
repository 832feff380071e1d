// SPDX-License-Identifier: MIT
// What somebody has ordered, on the disk while it is under way.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace agentfs {

// A file of its own below `directory`, which is made; there as long as this lives, so that what
// fails is told to who asked, and not tried again. What a crash leaves the next start ends.
class StoredOrder {
 public:
  StoredOrder() = default;  // of what needs none
  static Result<StoredOrder> begin(const std::string& directory, std::string_view text);
  // Quick: it outlives a kill, not a power cut.
  static Result<StoredOrder> note(const std::string& directory, std::string_view text);
  StoredOrder(StoredOrder&& other) noexcept
      : file_(std::exchange(other.file_, {})),
        end_(std::move(other.end_)),
        is_full_(other.is_full_),
        is_left_(other.is_left_) {}
  StoredOrder& operator=(StoredOrder&&) = delete;
  ~StoredOrder();
  // Adds to the text, quickly as note(). Where the disk takes no more, this may have its
  // beginning, and nothing comes after it.
  void add(std::string_view text);
  // What it tells of is done, and could not be told: it stays for the next start.
  void leave() { is_left_ = true; }
  bool is_noted() const { return !file_.empty(); }  // else there is none

 private:
  explicit StoredOrder(std::string file) : file_(std::move(file)) {}
  std::string file_{};
  UniqueFd end_{};  // where add() writes
  bool is_full_ = false;
  bool is_left_ = false;
};

// Those that a crash left.
using EachOrder = std::function<void(const Result<std::string>& text)>;
void each_order(const std::string& directory, const EachOrder& each);
// The same at a start: each is gone when its call has returned.
void end_orders(const std::string& directory, const EachOrder& end);

}  // namespace agentfs
