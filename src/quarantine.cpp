// SPDX-License-Identifier: MIT
#include "quarantine.h"

#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <filesystem>

#include "base/damage.h"
#include "base/file.h"
#include "base/free_path.h"

namespace agentfs {

std::string compact_time() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

Quarantine::Quarantine(std::string state)
    : state_(std::move(state)),
      path_(free_path(fmt::format("{}/quarantine/{}", state_, compact_time()))) {}

Result<std::string> Quarantine::place(const std::string& name) const {
  std::string target = fmt::format("{}/{}", path_, name);
  TRY(file::make_directories(std::filesystem::path(target).parent_path(), 0700));
  return target;
}

Result<std::string> Quarantine::take(const std::string& name) const {
  const std::string from = fmt::format("{}/{}", state_, name);
  std::string target = TRY(place(name));
  if (::rename(from.c_str(), target.c_str()) == 0 || errno == ENOENT) return target;
  if (!is_damage(errno)) return fail_errno(from);
  for (std::filesystem::path made = target; made != path_;) {  // the place that it has not had
    made = made.parent_path();
    if (::rmdir(made.c_str()) != 0) break;
  }
  return take_beside(name);
}

Result<std::string> Quarantine::take_beside(const std::string& name) const {
  const std::filesystem::path from = std::filesystem::path(state_) / name;
  const std::string last =
      fmt::format("{}{}-{}", kDamagedName, compact_time(), from.filename().string());
  std::string target = free_path(from.parent_path() / last);
  if (::rename(from.c_str(), target.c_str()) != 0) return fail_errno(from.string());
  return target;
}

}  // namespace agentfs
