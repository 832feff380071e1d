// SPDX-License-Identifier: MIT
#include "base/log.h"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

namespace agentfs::log {
namespace {

std::shared_ptr<spdlog::logger>& logger() {
  static auto instance = spdlog::stderr_logger_mt("agentfs");
  return instance;
}

spdlog::level::level_enum converted(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

void write(Level level, std::string_view message) {
  logger()->log(converted(level), spdlog::string_view_t(message.data(), message.size()));
  if (level >= Level::warning) logger()->flush();
}

bool to_file(const std::string& path) {
  // A FIFO would be waited for.
  struct stat found{};
  if (::stat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode)) return false;
  try {
    auto sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(path, 8u << 20, 3);
    auto next = std::make_shared<spdlog::logger>("agentfs-file", sink);
    next->flush_on(spdlog::level::info);
    logger() = std::move(next);
    return true;
  } catch (const spdlog::spdlog_ex&) {
    return false;
  }
}

void set_plain() { logger()->set_pattern("%v"); }

void set_level(Level level) { logger()->set_level(converted(level)); }

}  // namespace agentfs::log
