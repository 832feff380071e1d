// SPDX-License-Identifier: MIT
#include "kernel/tree_change.h"

#include <algorithm>

#include "base/blocks.h"
#include "base/nanoseconds.h"
#include "base/permissions.h"

namespace agentfs {
namespace {

std::uint64_t held_bytes(const struct stat& file) {
  return static_cast<std::uint64_t>(file.st_blocks) * 512;
}

}  // namespace

std::uint64_t solid_bytes(const struct stat& file) {
  return std::min(held_bytes(file), static_cast<std::uint64_t>(file.st_size));
}

void put_details(json::Value& row, const TreeChange& change) {
  for (const auto& [name, value] : change.details) json::set_any(row, name, value);
}

json::Value kept_row(std::uint64_t number, std::string_view type, const struct stat& attributes) {
  json::Value row;
  row.set("number", number).set("type", type);
  row.set("size", S_ISREG(attributes.st_mode) ? attributes.st_size : 0);
  const std::uint64_t held = held_bytes(attributes);
  const bool is_usual = held == whole_blocks(static_cast<std::uint64_t>(attributes.st_size));
  if (S_ISREG(attributes.st_mode) && !is_usual) row.set("held", held);
  row.set("mode", attributes.st_mode & kPermissions);
  row.set("uid", attributes.st_uid).set("gid", attributes.st_gid);
  row.set("modified", nanoseconds_of(attributes.st_mtim));
  return row;
}

void set_xattrs(json::Value& row, const Xattrs& xattrs) {
  if (xattrs.empty()) return;
  json::Array all;
  for (const auto& [name, value] : xattrs) {
    json::Value one;
    json::set_bytes(one, "name", name);
    json::set_bytes(one, "value", value);
    all.push_back(std::move(one));
  }
  row.set("xattrs", std::move(all));
}

Xattrs xattrs_of(const json::Value& row) {
  Xattrs xattrs;
  const json::Array* const all = row["xattrs"].array();
  if (all == nullptr) return xattrs;
  for (const json::Value& one : *all) {
    xattrs.emplace(json::bytes_of(one, "name"), json::bytes_of(one, "value"));
  }
  return xattrs;
}

}  // namespace agentfs
