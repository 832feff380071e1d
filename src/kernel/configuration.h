// SPDX-License-Identifier: MIT
// The documents under /etc: plain TOML files under STATE/etc over built-in defaults, checked before
// they are put in force.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/exec_driver.h"
#include "backends/model_driver.h"
#include "base/error.h"
#include "base/mutex.h"
#include "kernel/process.h"

namespace agentfs {

// Settings of /dev/local: /etc/devices/local.toml.
struct DeviceSettings {
  bool sandbox = true;
  bool network = false;
  std::string fs = "coherent";  // how commands see the workspace, where nothing else says so
  ExecLimits limits;
};

// A kind of agent: /etc/profiles/<name>/profile.toml.
struct ProfileSettings {
  std::string model = "default";
  std::optional<std::vector<std::string>> tools;  // that it is given; none given: all
  Limits limits;
  std::int64_t max_parallel_calls = 4;
  std::int64_t context_tokens = 0;  // 0: the model's
  std::int64_t tool_result_bytes = 16'384;
  std::string fs{};  // how its agents' commands see the workspace; "": as the device says
};

// /etc/agentfs.toml.
struct KernelSettings {
  std::int64_t reap_after_seconds = 7 * 86'400;  // dead processes are reaped then; 0: never
  std::int64_t journal_segment_bytes = 8 << 20;
  std::int64_t spawn_depth = 8;         // generations of agents below one that a person made
  std::int64_t spawn_descendants = 64;  // of such an agent that are alive at one time
};

// What becomes of an agent's write over what another has changed since the agent saw it.
enum class StalePolicy : char { refuse, merge, allow };

// /etc/history.toml: what is kept of files that are removed or overwritten, and for how long.
struct HistorySettings {
  std::int64_t days = 30;         // 0: nothing is kept
  double share = 0.1;             // of the disk, that it may hold
  std::int64_t ignored_days = 1;  // of what .gitignore names
  double ignored_share = 0.02;
  std::int64_t index_bytes = std::int64_t{1} << 30;  // of the daemon's, about
  double reserve = 0.05;  // of the disk: with less left free nothing is kept
  std::int64_t largest_bytes = std::int64_t{1} << 30;
  std::int64_t largest_copy_bytes = 64 << 20;  // where keeping takes a copy
  StalePolicy stale_writes = StalePolicy::refuse;
};

// One setting that a kind of document may have: the row behind the check, the man page and errors.
struct SettingRow {
  std::string_view document{};  // "models", "devices", "profiles", "agentfs", "history"
  std::string_view key{};       // "base_url"
  std::string_view type{};      // "string", "integer", "number", "boolean", "list"
  std::string_view standard{};  // default, as text
  std::string_view doc{};
};

struct Document {
  std::string text;
  std::optional<std::int64_t> changed{};  // mtime of the file that it is kept in, nanoseconds
};

// Threads: all. Reads come from memory; save() writes the file. Paths are relative to /etc.
class Configuration {
 public:
  // Reads every document; one that is invalid on disk is reported in problems(), its defaults hold.
  static Result<std::unique_ptr<Configuration>> open(const std::string& directory);
  ~Configuration();

  // Would this text do as the document `path` ("models/x.toml")? EBADMSG with the line and reason;
  // texts that are no settings (context.d/*.md) do if they are UTF-8. EBADMSG, too, for a path that
  // is no document's.
  Status check(const std::string& path, std::string_view text) const;
  // check(), then replaced on the disk atomically, then in force. What the disk holds already is
  // not written again.
  Status save(const std::string& path, std::string_view text);
  Status remove(const std::string& path);
  // What is odd about a document in force: a fallback that names a model there is not, which may
  // still come. "" where nothing is.
  std::string doubt(const std::string& path) const;
  Result<std::string> text(const std::string& path) const;            // as on the disk; ENOENT
  Result<Document> document(const std::string& path) const;           // the same
  std::vector<std::string> list(const std::string& directory) const;  // names; directories end in /
  const std::string& directory() const;                               // host path
  std::vector<std::string> problems() const;

  std::vector<std::string> models() const;                     // names, sorted
  Result<ModelSettings> model(const std::string& name) const;  // ENOENT with nearest names
  // A model found at start (environment, local server, script) stands behind "default" as long as
  // /etc/models/default.toml does not.
  void set_found_default(ModelSettings settings);
  std::vector<std::string> profiles() const;
  // "default" always is; ENOENT for others without a profile.toml, with what would do.
  Result<ProfileSettings> profile(const std::string& name) const;
  DeviceSettings device(const std::string& name) const;
  KernelSettings kernel() const;
  HistorySettings history() const;

 private:
  Configuration();
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

const std::vector<SettingRow>& setting_rows();

}  // namespace agentfs
