// SPDX-License-Identifier: MIT
#include "backends/exec/cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "backends/exec/inside/protocol.h"
#include "base/directory.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"

namespace agentfs::exec {
namespace {

constexpr std::string_view kPlacePrefix = "agentfs-exec.";
// Beside the command's own processes: bubblewrap and the first process inside.
constexpr std::int64_t kOwnProcesses = 2;

struct Hierarchy {
  std::string mount_point;
  std::string root;  // which cgroup the mount point shows
};

bool holds(const std::vector<std::string_view>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

bool lists(std::string_view list, std::string_view word) {
  return holds(text::split(list, ','), word);
}

// A line of mountinfo: id parent dev root mount-point options [tags] - type source super-options
std::optional<Hierarchy> find_hierarchy(std::string_view mountinfo, std::string_view controller) {
  for (const std::string_view line : text::lines(mountinfo)) {
    const auto words = text::words(line);
    const auto dash = std::ranges::find(words, std::string_view("-"));
    if (words.size() < 6 || words.end() - dash < 4) continue;
    const std::string_view type = dash[1];
    const bool wanted =
        controller.empty() ? type == "cgroup2" : type == "cgroup" && lists(dash[3], controller);
    if (wanted) return Hierarchy{std::string(words[4]), std::string(words[3])};
  }
  return std::nullopt;
}

// A line of /proc/self/cgroup: id:controllers:path, version 2 with no controllers.
std::string own_path(std::string_view own, std::string_view controller) {
  for (const std::string_view line : text::lines(own)) {
    const auto parts = text::split(line, ':');
    if (parts.size() < 3) continue;
    const bool wanted = controller.empty() ? parts[0] == "0" : lists(parts[1], controller);
    if (wanted) return std::string(line.substr(parts[0].size() + parts[1].size() + 2));
  }
  return "/";
}

bool has_controllers(const std::string& directory) {
  const auto enabled = file::read(directory + "/cgroup.subtree_control");
  if (!enabled) return false;
  const auto words = text::words(*enabled);
  return holds(words, "memory") && holds(words, "pids");
}

void write_control(const std::string& path, std::string_view value) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (fd) [[maybe_unused]]
    const auto put = ::write(fd.get(), value.data(), value.size());
}

// Who has a place holds its lock, which every namespace sees (a process number would be another
// one's in a container that shares the hierarchy). Empty: somebody lives there.
UniqueFd lock_place(const std::string& place) {
  UniqueFd directory(::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory && ::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) directory.reset();
  return directory;
}

// Between being made and being locked a place looks left behind, and may be swept away: once more.
UniqueFd own_place(const std::string& place) {
  constexpr int kAttempts = 8;
  for (int i = 0; i < kAttempts; ++i) {
    if (::mkdir(place.c_str(), 0755) != 0) return {};
    if (UniqueFd lock = lock_place(place); lock && file::exists(place)) return lock;
  }
  return {};
}

UniqueFd make_place(const std::string& place, bool unified) {
  UniqueFd lock = own_place(place);
  bool usable = lock && ::access(place.c_str(), W_OK) == 0;
  if (usable && unified) {
    write_control(place + "/cgroup.subtree_control", "+memory +pids");
    usable = has_controllers(place);
  }
  if (usable) return lock;
  ::rmdir(place.c_str());
  return {};
}

std::string new_place_name() {
  constexpr std::size_t kRandomBytes = 8;
  return fmt::format("{}{}.{}", kPlacePrefix, ::getpid(), text::hex(random_bytes(kRandomBytes)));
}

std::vector<std::string> groups_in(const std::string& directory) {
  std::vector<std::string> groups;
  for (const std::string& name : directories_in(entries_in(directory))) {
    groups.push_back(fmt::format("{}/{}", directory, name));
  }
  return groups;
}

void kill_processes(const std::string& group) {
  const auto processes = file::read(group + "/cgroup.procs");
  if (!processes) return;
  for (const std::string_view line : text::lines(*processes)) {
    const auto pid = text::number<pid_t>(line);
    if (pid && *pid > 1) ::kill(*pid, SIGKILL);
  }
}

void remove_place(const std::string& place) {
  for (const std::string& group : groups_in(place)) {
    kill_processes(group);
    ::rmdir(group.c_str());
  }
  ::rmdir(place.c_str());
}

// What daemons that no longer run have left here.
void remove_stale_places(const std::string& directory) {
  for (const std::string& place : groups_in(directory)) {
    if (!std::filesystem::path(place).filename().native().starts_with(kPlacePrefix)) continue;
    if (const UniqueFd lock = lock_place(place)) remove_place(place);
  }
}

// From our own cgroup upwards. In version 2 a group that holds processes gives its children no
// controllers, so the place is mostly the parent of our own.
std::string find_place(CgroupPlaces& places, std::string_view mountinfo, std::string_view own,
                       std::string_view controller) {
  const auto hierarchy = find_hierarchy(mountinfo, controller);
  if (!hierarchy) return "";
  const bool unified = controller.empty();
  const std::string name = new_place_name();
  std::string path = own_path(own, controller);
  if (hierarchy->root != "/" && path.starts_with(hierarchy->root)) {
    path.erase(0, hierarchy->root.size());
  }
  std::filesystem::path directory = hierarchy->mount_point + path;
  while (directory.native().size() >= hierarchy->mount_point.size()) {
    remove_stale_places(directory);
    const std::string place = directory / name;
    // To move a process the kernel wants to see its rights at the place that both groups share.
    const bool usable = !unified || (has_controllers(directory) &&
                                     ::access((directory / "cgroup.procs").c_str(), W_OK) == 0);
    if (UniqueFd lock = usable ? make_place(place, unified) : UniqueFd()) {
      places.locks.push_back(std::move(lock));
      return place;
    }
    directory = directory.parent_path();
  }
  return "";
}

bool remove_group(const std::string& group) {
  return group.empty() || ::rmdir(group.c_str()) == 0 || errno != EBUSY;
}

// "oom_kill 3" in a file of such lines.
bool counts_kills(const std::string& path) {
  const auto events = file::read(path);
  if (!events) return false;
  for (const std::string_view line : text::lines(*events)) {
    const auto words = text::words(line);
    if (words.size() == 2 && words[0] == "oom_kill") return words[1] != "0";
  }
  return false;
}

void add_field(std::string& fields, Field field, std::string_view value) {
  fields += static_cast<char>(field);
  fields += value;
  fields += '\0';
}

}  // namespace

CgroupPlaces find_cgroup_places(std::string_view mountinfo, std::string_view own) {
  CgroupPlaces places;
  places.unified = find_place(places, mountinfo, own, "");
  if (!places.unified.empty()) return places;
  places.memory = find_place(places, mountinfo, own, "memory");
  places.pids = find_place(places, mountinfo, own, "pids");
  return places;
}

CgroupPlaces find_cgroup_places() {
  const auto mountinfo = file::read("/proc/self/mountinfo");
  const auto own = file::read("/proc/self/cgroup");
  if (!mountinfo || !own) return {};
  return find_cgroup_places(*mountinfo, *own);
}

void remove_cgroup_places(const CgroupPlaces& places) {
  for (const auto* place : {&places.memory, &places.pids, &places.unified}) {
    if (!place->empty()) remove_place(*place);
  }
}

CommandGroups::CommandGroups(const CgroupPlaces& places, std::uint64_t number) {
  const std::string name = fmt::format("/{}", number);
  if (!places.memory.empty()) memory_ = places.memory + name;
  if (!places.pids.empty()) pids_ = places.pids + name;
  if (!places.unified.empty()) unified_ = places.unified + name;
}

std::string CommandGroups::fields(const ExecLimits& limits) const {
  std::string fields;
  const auto set = [&fields](const std::string& group, std::string_view file, std::int64_t value) {
    add_field(fields, Field::group_setting, fmt::format("{}/{}={}", group, file, value));
  };
  const std::int64_t processes = limits.processes + kOwnProcesses;
  if (!memory_.empty()) {
    add_field(fields, Field::group_threads, memory_);
    if (limits.memory_bytes > 0) {
      set(memory_, "memory.limit_in_bytes", limits.memory_bytes);
      set(memory_, "memory.memsw.limit_in_bytes", limits.memory_bytes);
    }
  }
  if (!pids_.empty()) {
    add_field(fields, Field::group_threads, pids_);
    if (limits.processes > 0) set(pids_, "pids.max", processes);
  }
  if (!unified_.empty()) {
    add_field(fields, Field::group_unified, unified_);
    if (limits.memory_bytes > 0) set(unified_, "memory.max", limits.memory_bytes);
    set(unified_, "memory.swap.max", 0);
    if (limits.processes > 0) set(unified_, "pids.max", processes);
  }
  return fields;
}

bool CommandGroups::ran_out_of_memory() const {
  if (!unified_.empty()) return counts_kills(unified_ + "/memory.events");
  return !memory_.empty() && counts_kills(memory_ + "/memory.oom_control");
}

void CommandGroups::kill_all() const {
  if (!unified_.empty()) write_control(unified_ + "/cgroup.kill", "1");
  if (!pids_.empty()) kill_processes(pids_);
  if (pids_.empty() && !memory_.empty()) kill_processes(memory_);
}

bool CommandGroups::remove() const {
  const bool memory = remove_group(memory_);
  const bool pids = remove_group(pids_);
  return remove_group(unified_) && memory && pids;
}

}  // namespace agentfs::exec
