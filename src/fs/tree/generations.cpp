// SPDX-License-Identifier: MIT
// /sys/gen and /sys/conflicts: which change each path is of, and what agents were not let write.
#include "fs/tree/generations.h"

#include "base/clock.h"
#include "base/text.h"
#include "fs/tree/render.h"
#include "fs/tree/tables.h"
#include "kernel/fold.h"
#include "kernel/refused_writes.h"

namespace agentfs::tree {
namespace {

using vfs::files;

constexpr std::size_t kMostLines = 10'000;

// --- gen

Result<std::string> show_table(const Kernel& kernel, const Caller&) {
  std::vector<std::pair<std::string, Generation>> rows;
  kernel.look_at_fold([&](const Fold& fold) { rows = fold.generations().newest(kMostLines); });
  std::string out;
  for (const auto& [path, generation] : rows) {
    json::Value line;
    json::set_bytes(line, "path", path);
    line.set("gen", generation.number.value);
    if (generation.writer != nullptr) {
      line.set("pid", generation.writer->process.value).set("writer", generation.writer->lineage);
    }
    line.set("time", when(generation.time));
    out += json::dump(line) + "\n";
  }
  return out;
}

constexpr auto kGenerationFiles = files<Kernel>({
    {.name = "table.jsonl",
     .mode = 0444,
     .doc = "Paths of workspaces and homes with the record that last changed each and its author: "
            "the newest 10,000, of long paths those of 16 MiB together.",
     .read = show_table,
     .is_private = true},
});

// --- conflicts

Result<std::vector<std::string>> list_conflicts(const Kernel& kernel, const Caller& caller) {
  std::vector<std::string> names;
  for (const RefusalRef& one : kernel.refused_writes().all(caller)) {
    names.push_back(std::to_string(one->number));
  }
  return names;
}

Result<RefusalRef> find_conflict(const Caller& caller, const vfs::Key& key) {
  const auto number = text::number<std::uint64_t>(key.at(0));
  if (!number) return fail(ENOENT, "/sys/conflicts/{}: no such conflict", text::shown(key[0]));
  return caller.kernel->refused_writes().get(caller, *number);
}

Result<std::string> show_about(const Refusal& refusal, const Caller& caller) {
  const auto merged = caller.kernel->refused_writes().merged(caller, refusal);
  return fmt::format("path\t{}\nauthor\t{}\ntime\t{}\nmerged\t{}\n{}\n", text::shown(refusal.path),
                     refusal.author, when(refusal.time),
                     merged && merged->is_clean ? "clean" : (merged ? "markers" : "none"),
                     refusal.reason);
}
Result<std::string> show_base(const Refusal& refusal, const Caller& caller) {
  return caller.kernel->refused_writes().base(refusal);
}
Result<std::string> show_merged(const Refusal& refusal, const Caller& caller) {
  auto merged = caller.kernel->refused_writes().merged(caller, refusal);
  return merged ? std::move(merged->text) : std::string();
}
Result<std::string> show_ours(const Refusal& refusal, const Caller& caller) {
  return caller.kernel->refused_writes().ours(caller, refusal);
}
Result<std::string> show_theirs(const Refusal& refusal, const Caller& caller) {
  return caller.kernel->refused_writes().theirs(refusal);
}

Result<std::string> take(const Refusal& refusal, const Caller& caller, const std::string& side) {
  return caller.kernel->refused_writes().take(caller, refusal, side);
}
Result<std::string> drop(const Refusal& refusal, const Caller& caller) {
  return caller.kernel->refused_writes().drop(caller, refusal);
}

constexpr auto kVerbs = vfs::verbs<Refusal>({
    vfs::verb<&drop>("drop", "drop", "Forgets what was refused; for a person, not for an agent."),
    vfs::verb<&take>("take", "take SIDE",
                     "Ends the conflict: ours (the file stays), theirs or merged (is written)."),
});

constexpr auto kConflictFiles = files<Refusal>({
    {.name = "about",
     .mode = 0444,
     .doc = "The path, who was refused and when, how the merge is, and the sentence it was told.",
     .read = show_about,
     .is_private = true},
    {.name = "base",
     .mode = 0444,
     .doc = "What the agent had seen; empty where that is not kept.",
     .read = show_base,
     .is_private = true},
    {.name = "ctl",
     .mode = 0644,
     .doc = "Says which side counts.",
     .verbs = kVerbs,
     .is_private = true},
    {.name = "merged",
     .mode = 0444,
     .doc = "Both changes in one text, with markers where they touch the same lines; empty without "
            "a base.",
     .read = show_merged,
     .is_private = true},
    {.name = "ours",
     .mode = 0444,
     .doc = "What the path holds now.",
     .read = show_ours,
     .is_private = true},
    {.name = "theirs",
     .mode = 0444,
     .doc = "What the agent would have written.",
     .read = show_theirs,
     .is_private = true},
});

const vfs::Directory<Refusal> kConflictDirectory(
    "<number>", "A write of an agent that was refused, since another had changed the file.",
    find_conflict, kConflictFiles);

constexpr auto kConflictsFiles = files<Kernel>({
    {.name = "<number>",
     .mode = 0555,
     .doc = "What one write that was refused would have made of a file.",
     .directory = &kConflictDirectory,
     .list = list_conflicts,
     .is_private = true},
});

}  // namespace

const vfs::Directory<Kernel> kGenerationsDirectory("", "Which change each path is of.", find_kernel,
                                                   kGenerationFiles);
const vfs::Directory<Kernel> kConflictsDirectory(
    "", "Writes of agents over what they had not seen: refused, and kept here.", find_kernel,
    kConflictsFiles);

}  // namespace agentfs::tree
