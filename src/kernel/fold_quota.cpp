// SPDX-License-Identifier: MIT
// quota.set, and what becomes of limits when trees are forked, renamed or removed.
#include <array>

#include "kernel/fold_rows.h"
#include "kernel/paths.h"

namespace agentfs::fold {
namespace {

std::string subject_of(const json::Value& data) {
  if (!data["uid"].is_null()) return user_subject(static_cast<uid_t>(data["uid"].number()));
  return json::bytes_of(data, "path");
}

Quota quota_of(const Fold& fold, const std::string& subject) {
  const auto found = fold.quotas().find(subject);
  return found == fold.quotas().end() ? Quota{} : found->second;
}

void apply_set(Fold& fold, const Record& record) {
  fold.set_quota(subject_of(record.data),
                 {.bytes = static_cast<std::uint64_t>(record.data["bytes"].number()),
                  .inodes = static_cast<std::uint64_t>(record.data["inodes"].number())});
}

Status check_set(const Fold&, json::Value& data) {
  const bool is_user = !data["uid"].is_null() && data["uid"].number() >= 0;
  if (!is_user && !paths::is_whole_tree(json::bytes_of(data, "path"))) {
    return fail(EINVAL, "quota.set: neither the path of a workspace or home nor a uid");
  }
  if (data["bytes"].number() >= 0 && data["inodes"].number() >= 0) return ok();
  return fail(EINVAL, "quota.set: bytes and inodes are numbers from 0");
}

constexpr std::array kRows = {Row{kind::kQuotaSet, check_set, apply_set}};

}  // namespace

void note_quotas(Fold& fold, const Record& record) {
  if (fold.quotas().empty()) return;
  const std::string path = json::bytes_of(record.data, "path");
  const std::string other = json::bytes_of(record.data, "other");
  if (record.kind == "tree.fork") {
    fold.set_quota(path, quota_of(fold, other));
    return;
  }
  if (!paths::is_whole_tree(path)) return;
  const Quota own = quota_of(fold, path);
  const bool is_renamed = record.kind == "tree.rename" && paths::is_whole_tree(other);
  fold.set_quota(path,
                 is_renamed && record.data["exchange"].truth() ? quota_of(fold, other) : Quota{});
  if (is_renamed) fold.set_quota(other, own);
}

std::span<const Row> quota_rows() { return kRows; }

}  // namespace agentfs::fold
