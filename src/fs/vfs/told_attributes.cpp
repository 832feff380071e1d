// SPDX-License-Identifier: MIT
// user.agentfs.gen, .writer, .hash and .if-gen.
#include <fcntl.h>

#include "base/file_hash.h"
#include "base/file_times.h"
#include "base/hold.h"
#include "base/text.h"
#include "fs/vfs/data_guard.h"

namespace agentfs::vfs {
namespace {

constexpr std::string_view kPrefix = "user.agentfs.";
constexpr std::string_view kCondition = "if-gen";

std::string_view word_of(const std::string& name) {
  return std::string_view(name).substr(kPrefix.size());
}

std::unexpected<Error> no_such(const DataNode& node, const std::string& name) {
  return fail(ENODATA, "{}: has no {}", node.path(), text::shown(name));
}

// A generation is of a name: of a file that has lost it, or whose name is another by now, there is
// none to tell.
std::unexpected<Error> without_name(const DataNode& node) {
  return fail(
      ESTALE,
      "{}: the file that is open has lost this name, and with it the generation; open it by "
      "its name again",
      node.path());
}

std::unexpected<Error> noted(Request& request, const DataNode& node, Error error) {
  node.tree().services().note_error(request.caller(), node.path(), error);
  return std::unexpected(std::move(error));
}

Result<std::string> hash_of(Request& request, DataNode& node) {
  DataTree& tree = node.tree();
  if (!tree.write_back(node.self())) {
    return noted(request, node,
                 {EAGAIN, fmt::format("{}: what programs have stored in it through mappings is "
                                      "still being written; again, a moment later, would do",
                                      node.path())});
  }
  const auto file = TRY(tree.store().open(node.file(), O_RDONLY, request.tree()));
  auto hash = tree.hashes().of(*file, TRY(tree.store().attributes(node.file())),
                               [&] { return request.is_interrupted(); });
  if (hash || hash.error().code != EAGAIN) return hash;
  return noted(request, node, std::move(hash.error()));
}

Status set_attribute(Request& request, DataNode& node, const std::string& name,
                     std::string_view value) {
  WriteGuard* const guard = node.tree().services().guard();
  if (word_of(name) != kCondition || guard == nullptr) {
    return fail(EPERM,
                "{}: {} is told by agentfs and not set; user.agentfs.if-gen sets a condition",
                node.path(), text::shown(name));
  }
  TRY(node.tree().store().access(node.file(), W_OK, request.tree()));
  const auto wanted = text::number<std::uint64_t>(text::trim(value));
  if (!wanted || *wanted == 0) {
    return fail(EINVAL,
                "{}: not a generation ({}); user.agentfs.gen is one, and for a name that must not "
                "be there O_EXCL and RENAME_NOREPLACE do",
                node.path(), text::shown(value));
  }
  if (node.is_written_past()) {
    return fail(EBUSY,
                "{}: is open past the daemon (-o passthrough), which sees no write; set before it "
                "is opened for writing the condition holds",
                node.path());
  }
  // What is written by another of them is told of that one alone.
  const nlink_t names = TRY(node.status()).st_nlink;
  if (node.type() == S_IFREG && names > 1) {
    return fail(EMLINK,
                "{}: has {} names (hard links), and a generation is of one of them; a copy of its "
                "own would do",
                node.path(), names);
  }
  TRY(node.tell_writes());
  const std::string path = node.named_path();
  if (path.empty() || node.is_aside()) return without_name(node);
  return guard->set_condition(request.caller(), path, *wanted, request.tree().pid);
}

}  // namespace

Result<std::string> ContentHashes::of(const TreeFile& file, const struct stat& now,
                                      const std::function<bool()>& is_unwanted) {
  const Known state{now.st_size, now.st_mtim, now.st_ctim, {}};
  const bool tells = tells_changes(now);  // before the bytes are read
  {
    Lock lock(mutex_);
    const auto found = all_.find(now.st_ino);
    if (found != all_.end() && found->second.is_of(state)) return found->second.hash;
  }
  const int others = under_way_.fetch_add(1);
  const Hold counted = hold_until([this] { under_way_.fetch_sub(1); });
  if (others >= kAtOnce) {
    return fail(EAGAIN,
                "user.agentfs.hash: of {} files it is computed just now; again, when one "
                "of them is done",
                others);
  }
  Known next = state;
  next.hash = TRY(file::blake2b(file.descriptor(), is_unwanted));
  TRY(file.check_read());
  // What changed meanwhile is of no state that anybody will ask for, unless the next change leaves
  // the file in this one.
  struct stat after{};
  if (::fstat(file.descriptor(), &after) != 0) return fail_errno("stat");
  if (!tells || after.st_size != now.st_size) return next.hash;
  Lock lock(mutex_);
  if (all_.size() >= kMost) all_.clear();
  all_[now.st_ino] = next;
  return next.hash;
}

bool is_told_attribute(const std::string& name) { return name.starts_with(kPrefix); }

Result<std::string> told_attribute(Request& request, DataNode& node, const std::string& name) {
  const std::string_view word = word_of(name);
  if (word == "hash" && node.type() == S_IFREG) return hash_of(request, node);
  WriteGuard* const guard = node.tree().services().guard();
  if (guard == nullptr || (word != "gen" && word != "writer")) return no_such(node, name);
  node.tree().count_generations();
  TRY(node.tell_writes());  // they belong to the generation that is asked for
  const std::string path = node.named_path();
  const auto generation = guard->generation(path);
  if (node.named_path() != path || path.empty() || node.is_aside()) {
    return noted(request, node, without_name(node).error());
  }
  if (!generation) return no_such(node, name);
  if (word == "gen") return std::to_string(generation->number);
  if (word == "writer" && !generation->writer.empty()) return generation->writer;
  return no_such(node, name);
}

Status set_told_attribute(Request& request, DataNode& node, const std::string& name,
                          std::string_view value) {
  Status set = set_attribute(request, node, name, value);
  return set ? set : noted(request, node, std::move(set.error()));
}

Status remove_told_attribute(Request& request, DataNode& node, const std::string& name) {
  return noted(request, node,
               Error{EPERM, fmt::format("{}: {} is told by agentfs and cannot be removed",
                                        node.path(), text::shown(name))});
}

}  // namespace agentfs::vfs
