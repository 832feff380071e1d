// SPDX-License-Identifier: MIT
// /sys: the machine.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/nanoseconds.h"
#include "fs/tree/changes.h"
#include "fs/tree/generations.h"
#include "fs/tree/render.h"
#include "fs/tree/tables.h"
#include "fs/tree/users.h"
#include "kernel/metrics.h"
#include "kernel/syscalls/table.h"

namespace agentfs::tree {
namespace {

using vfs::DocumentEntry;
using vfs::files;
using vfs::line;

constexpr int kAbi = 1;  // version of the paths, verbs and formats that users rely on

const Kernel& kernel_of(const void* object) { return *static_cast<const Kernel*>(object); }

// --- kernel

Result<std::string> show_abi(const Kernel&, const Caller&) { return line(kAbi); }
Result<std::string> show_clock(const Kernel& k, const Caller&) {
  return line(timestamp(k.clock().wall()));
}
Result<std::string> show_digest(const Kernel& k, const Caller&) {
  std::size_t busy = 0;
  std::size_t alive = 0;
  for (const ProcessId pid : k.processes()) {
    const ProcessRef process = k.find_process(pid);
    if (!process || process->state == RunState::dead) continue;
    ++alive;
    if (process->state != RunState::idle && process->state != RunState::stopped) ++busy;
  }
  const JournalHead head = k.journal().head();
  return fmt::format(
      "agentfs {}\n{} processes alive, {} at work\n{} workspaces\n"
      "journal at {}\nmounted at {}\nstate in {}\n",
      AGENTFS_VERSION, alive, busy, k.workspaces().size(), head.sequence.value,
      k.parts().mountpoint, k.parts().state);
}
Result<std::string> show_metrics(const Kernel& k, const Caller&) { return k.metrics_text(); }
Result<std::string> show_pid(const Kernel&, const Caller&) { return line(::getpid()); }
Result<std::string> show_uptime(const Kernel& k, const Caller&) {
  return line(seconds(k.uptime()));
}
Result<std::string> show_version(const Kernel&, const Caller&) { return line(AGENTFS_VERSION); }

constexpr auto kKernelFiles = files<Kernel>({
    {.name = "abi",
     .mode = 0444,
     .doc = "Version of the paths, verbs and formats.",
     .read = show_abi},
    {.name = "clock", .mode = 0444, .doc = "The kernel's time, UTC.", .read = show_clock},
    {.name = "digest",
     .mode = 0444,
     .doc = "Six lines that say how the machine is.",
     .read = show_digest},
    {.name = "metrics",
     .mode = 0444,
     .doc = "Counters in the Prometheus text format.",
     .read = show_metrics},
    {.name = "pid", .mode = 0444, .doc = "Host process id of the daemon.", .read = show_pid},
    {.name = "uptime",
     .mode = 0444,
     .doc = "Seconds since the daemon started.",
     .read = show_uptime},
    {.name = "version", .mode = 0444, .doc = "Version of agentfs.", .read = show_version},
});

// --- journal

Result<std::string> show_head(const Kernel& k, const Caller&) { return k.journal().signed_head(); }
Result<std::string> show_verify(const Kernel& k, const Caller&) {
  auto verdict = k.journal().verify();
  return verdict ? *verdict : line("damaged: " + verdict.error().message);
}

Result<std::vector<DocumentEntry>> list_segments(const void* object, const Caller&,
                                                 const std::string&) {
  std::vector<DocumentEntry> entries;
  for (const SegmentInfo& segment : kernel_of(object).journal().log().segments()) {
    entries.push_back({segment.name, false});
  }
  return entries;
}

Result<vfs::ContentRef> open_segment(const void* object, const Caller&, const std::string& path) {
  const LogStore& log = kernel_of(object).journal().log();
  for (const SegmentInfo& segment : log.segments()) {
    if (segment.name != path) continue;
    if (segment.host_path.empty()) return vfs::text_content(TRY(log.read(path)));
    UniqueFd fd(::open(segment.host_path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail_errno(segment.host_path);
    struct stat attributes{};
    if (::fstat(fd.get(), &attributes) != 0) return fail_errno(segment.host_path);
    return std::make_shared<const vfs::Content>(std::move(fd), segment.size,
                                                nanoseconds_of(attributes.st_mtim));
  }
  return fail(ENOENT, "/sys/journal/segments/{}: no such segment", text::shown(path));
}

constinit const vfs::DocumentOperations kSegments{.list = list_segments, .content = open_segment};

constexpr auto kJournalFiles = files<Kernel>({
    {.name = "head",
     .mode = 0444,
     .doc = "Number and hash of the last record, public key, signature: the hash of the state.",
     .read = show_head},
    {.name = "segments",
     .mode = 0555,
     .doc = "The journal itself, JSON lines in order.",
     .documents = &kSegments,
     .is_private = true},
    {.name = "verify",
     .mode = 0444,
     .doc = "The whole chain, recomputed: ok, or what is wrong.",
     .read = show_verify},
});

// --- syscalls

Result<std::vector<DocumentEntry>> list_syscalls(const void*, const Caller&, const std::string&) {
  std::vector<DocumentEntry> entries{{"_all.tsv", false}};
  for (const SyscallEntry& entry : all_syscalls()) {
    entries.push_back({std::string(entry.row.name), false});
  }
  return entries;
}

std::string describe_syscall(const Kernel& kernel, const SyscallEntry& entry) {
  const CallCounters counters = kernel.metrics().call(entry.row.name);
  std::string out = fmt::format(
      "{}\n{}\neffect\t{}\nblocks\t{}\ncalls\t{}\nerrors\t{}\nseconds\t{}\n", entry.row.name,
      entry.row.doc, name(entry.row.effect), entry.row.blocks ? "yes" : "no", counters.calls,
      counters.errors, seconds(static_cast<std::int64_t>(counters.nanoseconds)));
  for (const FieldInfo& field : entry.fields) {
    out += fmt::format("argument\t{}\t{}{}\t{}\n", field.name, field.type,
                       field.required ? "" : ", optional", field.doc);
  }
  return out;
}

Result<std::string> read_syscall(const void* object, const Caller&, const std::string& path) {
  const Kernel& kernel = kernel_of(object);
  if (path == "_all.tsv") {
    std::string out = "# syscall\teffect\tcalls\terrors\tseconds\tdoc\n";
    for (const SyscallEntry& entry : all_syscalls()) {
      const CallCounters counters = kernel.metrics().call(entry.row.name);
      out += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\n", entry.row.name, name(entry.row.effect),
                         counters.calls, counters.errors,
                         seconds(static_cast<std::int64_t>(counters.nanoseconds)), entry.row.doc);
    }
    return out;
  }
  if (const SyscallEntry* entry = find_syscall(path)) return describe_syscall(kernel, *entry);
  return fail(ENOENT, "/sys/syscalls/{}: no such syscall", text::shown(path));
}

constinit const vfs::DocumentOperations kSyscalls{.list = list_syscalls, .text = read_syscall};

// --- fs

Result<std::string> show_stats(const Kernel& k, const Caller&) {
  std::string out;
  for (const auto& [labels, on] : k.metrics().counters("agentfs_fuse_feature")) {
    out += fmt::format("{}\t{}\n", labels, on != 0 ? "on" : "off");
  }
  for (const auto& [labels, value] : k.metrics().counters("agentfs_fuse_operations_total")) {
    out += fmt::format("{}\t{}\n", labels, value);
  }
  return out;
}

constexpr auto kFsFiles = files<Kernel>({
    {.name = "stats",
     .mode = 0444,
     .doc = "What makes the mount faster, on or off, and its operations, counted by session and "
            "kind.",
     .read = show_stats},
});

const vfs::Directory<Kernel> kKernelDirectory("", "The kernel of this mount.", find_kernel,
                                              kKernelFiles);
const vfs::Directory<Kernel> kJournalDirectory("", "What has happened, hash-chained and signed.",
                                               find_kernel, kJournalFiles);
const vfs::Directory<Kernel> kFsDirectory("", "The mount itself.", find_kernel, kFsFiles);

constexpr auto kFiles = files<Kernel>({
    {.name = "conflicts",
     .mode = 0555,
     .doc = "Writes of agents over what they had not seen: refused, and kept here.",
     .directory = &kConflictsDirectory},
    {.name = "fs", .mode = 0555, .doc = "The mount itself.", .directory = &kFsDirectory},
    {.name = "gen",
     .mode = 0555,
     .doc = "Which change each path is of.",
     .directory = &kGenerationsDirectory},
    {.name = "journal",
     .mode = 0555,
     .doc = "What has happened, hash-chained and signed.",
     .directory = &kJournalDirectory},
    {.name = "kernel",
     .mode = 0555,
     .doc = "The kernel of this mount.",
     .directory = &kKernelDirectory},
    {.name = "syscalls",
     .mode = 0555,
     .doc = "Every syscall: document, arguments, counters.",
     .documents = &kSyscalls},
    {.name = "users",
     .mode = 0555,
     .doc = "What each user holds in /home, /workspaces, /src/repos and /tmp together.",
     .directory = &kUsersDirectory},
    {.name = "workspaces",
     .mode = 0555,
     .doc = "All workspaces.",
     .directory = &kWorkspacesDirectory},
});

}  // namespace

const vfs::Directory<Kernel> kSysDirectory("", "The machine.", find_kernel, kFiles);

}  // namespace agentfs::tree
