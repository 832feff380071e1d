// SPDX-License-Identifier: MIT
#include "kernel/metrics.h"

#include <fmt/format.h>

#include <iterator>

namespace agentfs {
namespace {

// The value of a label, with what would end it escaped.
std::string escaped(std::string_view value) {
  std::string result;
  for (const char c : value) {
    if (c == '\\' || c == '"') result += '\\';
    if (c == '\n') {
      result += "\\n";
    } else {
      result += c;
    }
  }
  return result;
}

// "agentfs_store_failures_total" -> "Store failures."
std::string help_of(std::string_view metric) {
  std::string help;
  if (metric.starts_with("agentfs_")) metric.remove_prefix(8);
  if (metric.ends_with("_total")) metric.remove_suffix(6);
  for (const char c : metric) help += c == '_' ? ' ' : c;
  if (!help.empty() && help[0] >= 'a' && help[0] <= 'z') {
    help[0] = static_cast<char>(help[0] - 'a' + 'A');
  }
  return help + ".";
}

}  // namespace

void Metrics::count_call(std::string_view syscall, bool failed, std::int64_t nanoseconds) {
  Lock lock(mutex_);
  auto found = calls_.find(syscall);
  if (found == calls_.end()) found = calls_.emplace(std::string(syscall), CallCounters{}).first;
  ++found->second.calls;
  if (failed) ++found->second.errors;
  if (nanoseconds > 0) found->second.nanoseconds += static_cast<std::uint64_t>(nanoseconds);
}

CallCounters Metrics::call(std::string_view syscall) const {
  Lock lock(mutex_);
  const auto found = calls_.find(syscall);
  return found == calls_.end() ? CallCounters{} : found->second;
}

void Metrics::count(std::string_view metric, std::string_view labels, std::uint64_t by) {
  Lock lock(mutex_);
  auto found = counters_.find(metric);
  if (found == counters_.end()) found = counters_.try_emplace(std::string(metric)).first;
  auto& series = found->second;
  const auto place = series.find(labels);
  if (place == series.end()) {
    series.emplace(std::string(labels), by);
  } else {
    place->second += by;
  }
}

void Metrics::set(std::string_view metric, std::string_view labels, std::uint64_t value) {
  Lock lock(mutex_);
  counters_[std::string(metric)][std::string(labels)] = value;
}

std::uint64_t Metrics::value(std::string_view metric, std::string_view labels) const {
  Lock lock(mutex_);
  const auto found = counters_.find(metric);
  if (found == counters_.end()) return 0;
  const auto place = found->second.find(labels);
  return place == found->second.end() ? 0 : place->second;
}

std::map<std::string, std::uint64_t, std::less<>> Metrics::counters(std::string_view metric) const {
  Lock lock(mutex_);
  const auto found = counters_.find(metric);
  return found == counters_.end() ? std::map<std::string, std::uint64_t, std::less<>>()
                                  : found->second;
}

std::string Metrics::text() const {
  std::string out;
  const auto head = [&](std::string_view name, std::string_view help) {
    fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} {2}\n", name, help,
                   name.ends_with("_total") ? "counter" : "gauge");
  };
  Lock lock(mutex_);
  // The counters are an argument: under which lock a lambda reads a member cannot be checked.
  const auto series = [&](const auto& rows, std::string_view name, std::string_view help,
                          auto value) {
    head(name, help);
    for (const auto& [call, counters] : rows) {
      fmt::format_to(std::back_inserter(out), "{}{{name=\"{}\"}} {}\n", name, escaped(call),
                     value(counters));
    }
  };
  if (!calls_.empty()) {
    series(calls_, "agentfs_syscalls_total", "Syscalls through the gate.",
           [](const CallCounters& c) { return c.calls; });
    series(calls_, "agentfs_syscall_errors_total", "Syscalls that failed.",
           [](const CallCounters& c) { return c.errors; });
    series(calls_, "agentfs_syscall_seconds_total", "Time spent in syscalls.",
           [](const CallCounters& c) { return static_cast<double>(c.nanoseconds) / 1e9; });
  }
  for (const auto& [metric, values] : counters_) {
    head(metric, help_of(metric));
    for (const auto& [labels, value] : values) {
      if (labels.empty()) {
        fmt::format_to(std::back_inserter(out), "{} {}\n", metric, value);
      } else {
        fmt::format_to(std::back_inserter(out), "{}{{{}}} {}\n", metric, labels, value);
      }
    }
  }
  return out;
}

}  // namespace agentfs
