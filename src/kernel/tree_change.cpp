// SPDX-License-Identifier: MIT
#include "kernel/tree_change.h"

namespace agentfs {

json::Value kept_row(std::uint64_t number, std::string_view type, const struct stat& attributes) {
  json::Value row;
  row.set("number", number).set("type", type);
  row.set("size", S_ISREG(attributes.st_mode) ? attributes.st_size : 0);
  row.set("mode", attributes.st_mode & 07777U);
  row.set("uid", attributes.st_uid).set("gid", attributes.st_gid);
  row.set("modified", attributes.st_mtim.tv_sec * 1'000'000'000 + attributes.st_mtim.tv_nsec);
  return row;
}

}  // namespace agentfs
