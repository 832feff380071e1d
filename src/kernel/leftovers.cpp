// SPDX-License-Identifier: MIT
#include "kernel/leftovers.h"

#include <set>

#include "base/log.h"
#include "base/temporary_name.h"
#include "base/text.h"
#include "kernel/forks.h"
#include "kernel/journal.h"
#include "kernel/kernel.h"
#include "kernel/kinds.h"

namespace agentfs {
namespace {

constexpr std::uint64_t kRecords = 10'000;  // of the journal's end that are looked at

// Those that were made and neither renamed nor removed.
std::set<std::string> left_behind(const Journal& journal) {
  const std::uint64_t last = journal.head().sequence.value;
  std::set<std::string> left;
  std::vector<std::string> damaged;
  const auto look = [&](const Record& record, std::string_view) {
    const std::string path = json::bytes_of(record.data, "path");
    if (!record.kind.starts_with(kind::kTreePrefix) || !is_temporary_name(text::last_part(path))) {
      return ok();
    }
    if (record.kind == "tree.create") left.insert(path);
    if (record.kind == "tree.rename" || record.kind == "tree.remove") left.erase(path);
    return ok();
  };
  const Sequence after{last > kRecords ? last - kRecords : 0};
  if (const Status read = journal.replay_readable(after, look, damaged); !read) {
    log::warning("leftovers: {}", read.error().message);
  }
  return left;
}

Status remove(Kernel& kernel, const std::string& path) {
  const auto slash = path.find('/', 1);
  const auto forest = kernel.parts().forests.find(path.substr(0, slash));
  if (forest == kernel.parts().forests.end()) return ok();
  TreeStore& store = *forest->second;
  TreeNodeRef directory = store.root();
  const std::string_view below = std::string_view(path).substr(slash + 1);
  const std::string name(text::last_part(path));
  for (const std::string_view part : text::split(below.substr(0, below.rfind('/')), '/')) {
    directory = TRY(store.lookup(*directory, std::string(part))).node;
  }
  const TreeEntry entry = TRY(store.lookup(*directory, name));
  if (entry.node->type() != S_IFREG) return ok();
  TreeChange row{.operation = "remove", .path = path};
  if (PastStore* const past = kernel.parts().past;
      past != nullptr && entry.attributes.st_size > 0) {
    TRY(store.use_descriptor(*entry.node, [&](int file) -> Status {
      const auto number = TRY(past->keep_link(file, path));
      row.details.emplace_back("kept", kept_row(number, "file", entry.attributes));
      return ok();
    }));
  }
  TRY(store.unlink(*directory, name, TreeCaller{}));
  const Caller self{.kernel = &kernel, .process = {}, .host = {}, .path = {}, .via = {}};
  return kernel.record_change(self, row);
}

}  // namespace

void remove_leftovers(Kernel& kernel) {
  for (const std::string& path : left_behind(kernel.journal())) {
    const Status removed = remove(kernel, path);
    if (removed || removed.error().code == ENOENT) continue;
    log::warning("{}: left by a crash: {}", path, removed.error().message);
  }
}

}  // namespace agentfs
