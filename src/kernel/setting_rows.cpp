// SPDX-License-Identifier: MIT
#include "kernel/setting_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "kernel/limits.h"

namespace agentfs {
namespace {

bool is_positive(const json::Value& v) { return v.number() > 0; }
bool is_not_negative(const json::Value& v) { return v.number() >= 0; }
bool is_price(const json::Value& v) { return v.real() >= 0 && v.real() <= 1e6; }
bool is_url(const json::Value& v) {
  const std::string_view s = v.text();
  const std::size_t scheme = s.starts_with("http://") ? 7 : s.starts_with("https://") ? 8 : 0;
  const std::string_view authority = s.substr(0, s.find('/', scheme));
  return scheme != 0 && s.size() > scheme && s[scheme] != '/' && !authority.contains('@') &&
         s.find_first_of(" \t\n") == std::string_view::npos;
}
bool is_name(const json::Value& v) { return !v.text().empty(); }
bool is_driver(const json::Value& v) { return v.text() == "openai" || v.text() == "script"; }
bool is_variable(const json::Value& v) {
  const std::string_view s = v.text();
  if (s.empty() || (s[0] >= '0' && s[0] <= '9')) return false;
  return s.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") ==
         std::string_view::npos;
}
bool is_absolute(const json::Value& v) { return v.text().starts_with('/'); }
bool is_fs(const json::Value& v) { return v.text() == "coherent" || v.text() == "fast"; }
bool is_sandbox(const json::Value& v) { return v.text() == "bwrap" || v.text() == "none"; }
std::string limits_fault(const json::Value& v) {
  const Result<Limits> limits = parse_limits(v.text());
  return limits ? std::string() : limits.error().message;
}
bool is_limits(const json::Value& v) { return limits_fault(v).empty(); }
std::string tools_fault(const json::Value& v) {
  const std::vector<std::string> names(kToolNames.begin(), kToolNames.end());
  for (const json::Value& tool : *v.array()) {
    if (std::ranges::find(names, tool.text()) != names.end()) continue;
    return fmt::format("tools: no such tool ({}){}; there are {}, and [] gives none",
                       text::shown(tool.text()), text::did_you_mean(tool.text(), names),
                       text::join(names, ", "));
  }
  return {};
}
bool is_tools(const json::Value& v) { return tools_fault(v).empty(); }
bool is_temperature(const json::Value& v) { return v.real() >= 0 && v.real() <= 2; }
bool is_parallel(const json::Value& v) { return v.number() >= 1 && v.number() <= 64; }
bool is_attempts(const json::Value& v) { return v.number() >= 1 && v.number() <= 100; }
bool is_segment(const json::Value& v) {
  return v.number() >= 4'096 && v.number() <= (std::int64_t{1} << 30);
}
bool is_share(const json::Value& v) { return v.real() >= 0 && v.real() <= 1; }
bool is_policy(const json::Value& v) {
  return v.text() == "refuse" || v.text() == "merge" || v.text() == "allow";
}
bool is_days(const json::Value& v) { return v.number() >= 0 && v.number() <= 36'500; }
bool is_result(const json::Value& v) {
  return v.number() >= 256 && v.number() <= (std::int64_t{4} << 20);
}

constexpr std::string_view kPositive = "a number from 1";
constexpr std::string_view kNotNegative = "a number from 0";

constexpr std::array kRules = {
    SettingRule{"models", "driver", is_driver, "openai or script"},
    SettingRule{"models", "base_url", is_url, "an address such as https://api.openai.com/v1"},
    SettingRule{"models", "key_env", is_variable, "the name of an environment variable"},
    SettingRule{"models", "key_file", is_absolute, "an absolute host path"},
    SettingRule{"models", "scenario", is_absolute, "an absolute path"},
    SettingRule{"models", "usd_per_million_in", is_price, "dollars from 0"},
    SettingRule{"models", "usd_per_million_out", is_price, "dollars from 0"},
    SettingRule{"models", "usd_per_million_cached", is_price, "dollars from 0"},
    SettingRule{"models", "context_tokens", is_positive, kPositive},
    SettingRule{"models", "max_output_tokens", is_not_negative, kNotNegative},
    SettingRule{"models", "temperature", is_temperature, "a number from 0 to 2"},
    SettingRule{"models", "connect_timeout_ms", is_positive, kPositive},
    SettingRule{"models", "idle_timeout_ms", is_positive, kPositive},
    SettingRule{"models", "total_timeout_ms", is_positive, kPositive},
    SettingRule{"models", "max_attempts", is_attempts, "a number from 1 to 100"},
    SettingRule{"models", "backoff_ms", is_not_negative, kNotNegative},
    SettingRule{"devices", "sandbox", is_sandbox, "\"bwrap\" or \"none\""},
    SettingRule{"devices", "fs", is_fs, "\"coherent\" or \"fast\""},
    SettingRule{"devices", "timeout_ms", is_positive, kPositive},
    SettingRule{"devices", "memory_bytes", is_positive, kPositive},
    SettingRule{"devices", "processes", is_positive, kPositive},
    SettingRule{"devices", "output_bytes", is_positive, kPositive},
    SettingRule{"devices", "file_bytes", is_not_negative, kNotNegative},
    SettingRule{"profiles", "model", is_name, "the name of a model"},
    SettingRule{"profiles", "tools", is_tools, "tools such as [\"read\", \"list\"]", tools_fault},
    SettingRule{"profiles", "limits", is_limits, "limits such as tokens=100000,usd=0.50,wall=10m",
                limits_fault},
    SettingRule{"profiles", "max_parallel_calls", is_parallel, "a number from 1 to 64"},
    SettingRule{"profiles", "context_tokens", is_not_negative, kNotNegative},
    SettingRule{"profiles", "tool_result_bytes", is_result, "a number from 256 to 4194304"},
    SettingRule{"profiles", "fs", is_fs, "\"coherent\" or \"fast\""},
    SettingRule{"agentfs", "reap_after_seconds", is_not_negative, kNotNegative},
    SettingRule{"agentfs", "spawn_depth", is_not_negative, kNotNegative},
    SettingRule{"agentfs", "spawn_descendants", is_not_negative, kNotNegative},
    SettingRule{"agentfs", "journal_segment_bytes", is_segment, "a number from 4096 to 1073741824"},
    SettingRule{"history", "days", is_days, "a number from 0 to 36500"},
    SettingRule{"history", "share", is_share, "a number from 0 to 1"},
    SettingRule{"history", "ignored_days", is_days, "a number from 0 to 36500"},
    SettingRule{"history", "ignored_share", is_share, "a number from 0 to 1"},
    SettingRule{"history", "index_bytes", is_not_negative, kNotNegative},
    SettingRule{"history", "reserve", is_share, "a number from 0 to 1"},
    SettingRule{"history", "largest_bytes", is_not_negative, kNotNegative},
    SettingRule{"history", "largest_copy_bytes", is_not_negative, kNotNegative},
    SettingRule{"history", "stale_writes", is_policy, "refuse, merge or allow"},
};

}  // namespace

const SettingRule* find_rule(std::string_view document, std::string_view key) {
  for (const SettingRule& rule : kRules) {
    if (rule.document == document && rule.key == key) return &rule;
  }
  return nullptr;
}

namespace {

constexpr std::array kProfileRows = {
    SettingRow{"profiles", "model", "string", "default", "Model that its agents talk to."},
    SettingRow{"profiles", "tools", "list", "",
               "Tools the model is given; all if left out, none if []."},
    SettingRow{"profiles", "limits", "string", "",
               "Budget of each of its agents; none if left out."},
    SettingRow{"profiles", "max_parallel_calls", "integer", "4", "Tool calls that run at once."},
    SettingRow{"profiles", "context_tokens", "integer", "0",
               "Token budget of the context; 0: the model's."},
    SettingRow{"profiles", "tool_result_bytes", "integer", "16384",
               "Bytes of a result the model is shown."},
    SettingRow{
        "profiles", "fs", "string", "",
        "How its agents' commands see the workspace: coherent or fast; the device's if left out."},
};

constexpr std::array kHistoryRows = {
    SettingRow{"history", "days", "integer", "30",
               "Days that removed and overwritten files are kept; 0 keeps nothing."},
    SettingRow{"history", "share", "number", "0.1", "Share of the disk that they may hold."},
    SettingRow{"history", "ignored_days", "integer", "1",
               "The same for files that a .gitignore names: build output, caches. Looked at every "
               "ten minutes, and when there is not the room for all."},
    SettingRow{"history", "ignored_share", "number", "0.02",
               "Share of the disk that those may hold; they are the first to go."},
    SettingRow{"history", "index_bytes", "integer", "1073741824",
               "Bytes of memory that what is known of them may take, some 700 bytes each, with the "
               "links and directories that have none on the disk; the oldest go."},
    SettingRow{"history", "reserve", "number", "0.05",
               "Share of the disk that stays free: with less left nothing is kept."},
    SettingRow{"history", "largest_bytes", "integer", "1073741824", "Largest file that is kept."},
    SettingRow{"history", "largest_copy_bytes", "integer", "67108864",
               "Largest file that is kept where it takes a copy: when it is written in place."},
    SettingRow{"history", "stale_writes", "string", "refuse",
               "An agent's write over what it has not seen: refuse, merge or allow."},
};

std::vector<SettingRow> with_the_rest(std::vector<SettingRow> rows) {
  rows.insert(rows.end(), kProfileRows.begin(), kProfileRows.end());
  rows.insert(rows.end(), kHistoryRows.begin(), kHistoryRows.end());
  return rows;
}

}  // namespace

const std::vector<SettingRow>& setting_rows() {
  static const std::vector<SettingRow> rows = with_the_rest({
      {"models", "driver", "string", "openai", "Driver that talks to it: openai or script."},
      {"models", "base_url", "string", "", "Address of an OpenAI-compatible server."},
      {"models", "model", "string", "", "The server's own name for the model."},
      {"models", "key_env", "string", "", "Environment variable of the daemon that holds the key."},
      {"models", "key_file", "string", "", "Host file that holds the key."},
      {"models", "scenario", "string", "",
       "File that the script driver plays, of the host or the mount."},
      {"models", "fallback", "list", "", "Models tried in turn when this one cannot answer."},
      {"models", "usd_per_million_in", "number", "0", "Price of a million input tokens."},
      {"models", "usd_per_million_out", "number", "0", "Price of a million output tokens."},
      {"models", "usd_per_million_cached", "number", "0",
       "Price of a million cached input tokens."},
      {"models", "context_tokens", "integer", "128000", "Tokens that its context holds."},
      {"models", "max_output_tokens", "integer", "0", "Tokens of an answer; 0 for no limit."},
      {"models", "temperature", "number", "", "Sampling temperature; not sent if left out."},
      {"models", "connect_timeout_ms", "integer", "10000", "Milliseconds to connect in."},
      {"models", "idle_timeout_ms", "integer", "120000", "Milliseconds without a byte."},
      {"models", "total_timeout_ms", "integer", "900000",
       "Milliseconds for all attempts together."},
      {"models", "max_attempts", "integer", "6", "How often a request is tried."},
      {"models", "backoff_ms", "integer", "500",
       "First wait before another try; doubled each time."},
      {"models", "stream", "boolean", "true", "Whether answers come as they are made."},
      {"devices", "sandbox", "string", "bwrap",
       "How commands are confined: bwrap, or none at all."},
      {"devices", "network", "boolean", "false", "Whether commands reach the network."},
      {"devices", "fs", "string", "coherent",
       "How commands see the workspace: coherent, as the mount, or fast, on an overlay."},
      {"devices", "timeout_ms", "integer", "120000", "Milliseconds until a command is killed."},
      {"devices", "memory_bytes", "integer", "2147483648",
       "Memory of a command; of each of its processes where there are no cgroups."},
      {"devices", "processes", "integer", "256", "Processes and threads of a command."},
      {"devices", "output_bytes", "integer", "1048576", "Output that is kept."},
      {"devices", "file_bytes", "integer", "0", "Largest file it may write; 0 for no limit."},
      {"agentfs", "reap_after_seconds", "integer", "604800",
       "Seconds until a dead process is reaped; 0 for never."},
      {"agentfs", "journal_segment_bytes", "integer", "8388608", "Size of a journal segment."},
      {"agentfs", "spawn_depth", "integer", "8", "Generations of agents that agents make."},
      {"agentfs", "spawn_descendants", "integer", "64", "Agents alive below a person's agent."},
  });
  return rows;
}

}  // namespace agentfs
