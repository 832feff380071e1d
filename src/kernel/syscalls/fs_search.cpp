// SPDX-License-Identifier: MIT
// fs.search: lines of a tree that match a regular expression.
#include <fnmatch.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>

#include "base/expression.h"
#include "base/text.h"
#include "kernel/gitignore.h"
#include "kernel/paths.h"
#include "kernel/syscalls/fs.h"
#include "kernel/syscalls/values.h"

namespace agentfs::fs {
namespace {

constexpr std::int64_t kLines = 200;
constexpr std::int64_t kMostMatches = 5'000;
constexpr std::size_t kMostFiles = 50'000;
constexpr std::uint64_t kMostFileBytes = std::uint64_t{4} << 20;
constexpr std::uint64_t kMostRuleBytes = std::uint64_t{1} << 20;  // of a .gitignore
constexpr std::size_t kLineBytes = 300;                           // of a line that is shown
constexpr std::size_t kMatchBytes = 16'384;                       // of a line that is looked at
constexpr std::size_t kMostDepth = 64;
constexpr std::int64_t kMostSeconds = 30;

// Threads: that of the call; it is told to stop by any.
class TreeSearch {
 public:
  TreeSearch(Kernel& kernel, const Caller& caller, const Search& args,
             const std::atomic<bool>& is_cancelled)
      : kernel_(kernel),
        caller_(caller),
        args_(args),
        is_cancelled_(is_cancelled),
        limit_(args.limit.value_or(kLines)),
        end_(kernel.clock().steady() + kMostSeconds * 1'000'000'000) {}

  Result<std::string> run();

 private:
  void walk(const std::string& relative, GitIgnore ignore, std::size_t depth);
  void visit(const NamespaceEntry& entry, const std::string& relative, const GitIgnore& ignore,
             std::size_t depth);
  void search_file(const std::string& path, const std::string& shown);
  std::string full(const std::string& relative) const {
    return relative.empty() ? root_ : (root_ == "/" ? "/" : root_ + "/") + relative;
  }
  // Asked for each line: one may take an expression long.
  bool is_to_stop() {
    is_late_ = is_late_ || kernel_.clock().steady() >= end_;
    return is_late_ || is_cancelled_.load();
  }
  bool is_full() { return found_ >= limit_ || files_ >= kMostFiles || is_to_stop(); }
  std::string notes() const;

  Kernel& kernel_;
  const Caller& caller_;
  const Search& args_;
  const std::atomic<bool>& is_cancelled_;
  const std::int64_t limit_;
  const std::int64_t end_;  // steady
  std::optional<Expression> pattern_{};
  std::string root_;
  std::string result_;
  std::string notes_;
  std::string last_;  // file that was looked at
  bool is_late_ = false;
  std::int64_t found_ = 0;
  std::size_t files_ = 0;
  std::size_t skipped_ = 0;  // binary, too large or not to be read
};

Result<std::string> TreeSearch::run() {
  if (limit_ < 1 || limit_ > kMostMatches) {
    return fail(EINVAL, "limit: out of range ({}); 1 to {} would do", limit_, kMostMatches);
  }
  if (args_.pattern.empty() || args_.pattern.find('\0') != std::string::npos) {
    return fail(EINVAL, "pattern: cannot be {}; a regular expression would do",
                text::shown(args_.pattern));
  }
  auto pattern = Expression::compile(args_.pattern);
  if (!pattern) return fail(EINVAL, "pattern: {}", pattern.error().message);
  pattern_ = *std::move(pattern);
  root_ = paths::normalise(args_.path.value_or("."), values::cwd(kernel_, caller_));
  const struct stat attributes = TRY(kernel_.paths().attributes(caller_, root_));
  if (S_ISDIR(attributes.st_mode)) {
    walk("", {}, 0);
  } else {
    search_file(root_, root_);
  }
  if (is_cancelled_.load()) {
    return fail(EINTR, "search: cancelled after {} files; nothing was changed", files_);
  }
  return result_ + notes_ + notes();
}

std::string TreeSearch::notes() const {
  std::string note;
  if (found_ >= limit_)
    note =
        fmt::format("# stopped at {} lines; a narrower pattern or path shows the rest\n", found_);
  if (files_ >= kMostFiles) note += fmt::format("# stopped after {} files\n", files_);
  if (is_late_ && found_ < limit_)
    note += fmt::format(
        "# stopped after {} s, in file {} ({}); a simpler pattern or a narrower path shows the "
        "rest\n",
        kMostSeconds, files_, last_);
  if (found_ == 0) note += fmt::format("# no line matches in {} files\n", files_);
  if (skipped_ != 0)
    note += fmt::format("# {} files skipped: binary, large or unreadable\n", skipped_);
  return note;
}

void TreeSearch::walk(const std::string& relative, GitIgnore ignore, std::size_t depth) {
  if (is_full() || depth > kMostDepth) return;
  Result<std::vector<NamespaceEntry>> entries = kernel_.paths().list(caller_, full(relative));
  if (!entries) return;  // it is gone, or not to be read: the rest is searched
  std::ranges::sort(*entries, {}, &NamespaceEntry::name);
  const auto has_rules = std::ranges::find(*entries, ".gitignore", &NamespaceEntry::name);
  if (has_rules != entries->end()) {
    const std::string path = relative.empty() ? ".gitignore" : relative + "/.gitignore";
    const auto text = kernel_.paths().read(caller_, full(path), 0, kMostRuleBytes + 1);
    if (text && text->size() > kMostRuleBytes) {
      notes_ +=
          fmt::format("# {} is larger than {} bytes and was not followed\n", path, kMostRuleBytes);
    } else if (text) {
      ignore.add(relative, *text);
    }
  }
  for (const NamespaceEntry& entry : *entries) {
    if (is_full()) return;
    if (entry.name == "." || entry.name == ".." || entry.name == ".git") continue;
    visit(entry, relative.empty() ? entry.name : relative + "/" + entry.name, ignore, depth);
  }
}

void TreeSearch::visit(const NamespaceEntry& entry, const std::string& relative,
                       const GitIgnore& ignore, std::size_t depth) {
  const bool is_directory = S_ISDIR(entry.type);
  if (ignore.is_ignored(relative, is_directory)) return;
  if (is_directory) {
    walk(relative, ignore, depth + 1);
    return;
  }
  if (!S_ISREG(entry.type)) return;  // links lead to what is found by itself, or out of the tree
  if (args_.files && ::fnmatch(args_.files->c_str(), entry.name.c_str(), 0) != 0) return;
  if (entry.size > kMostFileBytes) {
    ++skipped_;
    return;
  }
  search_file(full(relative), relative);
}

void TreeSearch::search_file(const std::string& path, const std::string& shown) {
  ++files_;
  last_ = shown;
  const auto whole = kernel_.paths().read(caller_, path, 0, kMostFileBytes);
  if (!whole || std::string_view(*whole).substr(0, 8'192).find('\0') != std::string_view::npos) {
    ++skipped_;
    return;
  }
  std::size_t number = 0;
  for (const std::string_view line : text::lines(*whole)) {
    ++number;
    if (is_to_stop()) return;
    if (!pattern_->is_in(text::prefix(line, kMatchBytes))) continue;
    const std::string_view cut = text::prefix(line, kLineBytes);
    result_ += fmt::format("{}:{}:{}{}\n", shown, number, text::to_utf8(cut),
                           cut.size() < line.size() ? "…" : "");
    if (++found_ >= limit_) return;
  }
}

}  // namespace

void run(Kernel& kernel, const Caller& caller, const Search& args,
         const Completion<std::string>& done) {
  const auto is_cancelled = std::make_shared<std::atomic<bool>>(false);
  done.on_cancel([is_cancelled] { is_cancelled->store(true); });
  done.complete(TreeSearch(kernel, caller, args, *is_cancelled).run());
}

}  // namespace agentfs::fs
