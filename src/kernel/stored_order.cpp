// SPDX-License-Identifier: MIT
#include "kernel/stored_order.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/temporary_name.h"

namespace agentfs {
namespace {

std::vector<std::string> files_in(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> files;
  for (std::filesystem::directory_iterator entry(directory, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    files.push_back(entry->path().native());
  }
  return files;
}

Result<std::string> place_in(const std::string& directory) {
  TRY(file::make_directories(directory, 0700));
  return fmt::format("{}/{}", directory, temporary_name());
}

}  // namespace

Result<StoredOrder> StoredOrder::begin(const std::string& directory, std::string_view text) {
  std::string file = TRY(place_in(directory));
  TRY(file::replace(file, text, 0600));
  return StoredOrder(std::move(file));
}

Result<StoredOrder> StoredOrder::note(const std::string& directory, std::string_view text) {
  std::string file = TRY(place_in(directory));
  const UniqueFd made(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!made) return fail_errno(file);
  StoredOrder order(std::move(file));
  TRY(file::write_all(made.get(), text));
  return order;
}

void StoredOrder::add(std::string_view text) {
  if (file_.empty() || is_full_) return;
  if (!end_) end_ = UniqueFd(::open(file_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  // Behind a part of it no other may come.
  is_full_ = !end_ || !file::write_all(end_.get(), text);
}

StoredOrder::~StoredOrder() {
  if (file_.empty() || is_left_ || ::unlink(file_.c_str()) == 0) return;
  log::error("{}: {}; the next start ends what is done already", file_, std::strerror(errno));
}

void each_order(const std::string& directory, const EachOrder& each) {
  for (const std::string& file : files_in(directory)) {
    if (!file::is_unfinished(file)) each(file::read(file));
  }
}

void end_orders(const std::string& directory, const EachOrder& end) {
  for (const std::string& file : files_in(directory)) {
    if (!file::is_unfinished(file)) end(file::read(file));
    ::unlink(file.c_str());
  }
}

}  // namespace agentfs
