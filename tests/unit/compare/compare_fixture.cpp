// SPDX-License-Identifier: MIT
#include "compare_fixture.h"

#include <algorithm>

#include "base/hash.h"
#include "base/text.h"

namespace agentfs::test {
namespace {

namespace fs = std::filesystem;

std::string described(const fs::path& path, Described how) {
  struct stat state{};
  REQUIRE(::lstat(path.c_str(), &state) == 0);
  const bool is_link = S_ISLNK(state.st_mode);
  std::string text = how.for_git ? (is_link                     ? "link"
                                    : (state.st_mode & S_IXUSR) ? "755"
                                                                : "644")
                                 : fmt::format("{:o}", state.st_mode);
  if (how.inodes) text += fmt::format(" inode {}", state.st_ino);
  if (is_link) return fmt::format("{} {}", text, fs::read_symlink(path).string());
  if (S_ISREG(state.st_mode)) {
    const std::string bytes = slurp(path);
    text += fmt::format(" {} {}", text::shown(bytes), blake2b(bytes).substr(0, 16));
  }
  return text;
}

}  // namespace

std::vector<std::string> describe(const std::string& directory, Described how) {
  std::vector<std::string> all;
  for (auto at = fs::recursive_directory_iterator(directory);
       at != fs::recursive_directory_iterator(); ++at) {
    if (at->path().filename() == ".git" && how.for_git) {
      at.disable_recursion_pending();
      continue;
    }
    const bool is_directory = at->is_directory() && !at->is_symlink();
    if (is_directory && how.for_git) continue;
    const std::string path = at->path().lexically_relative(directory);
    all.push_back(fmt::format("{}: {}", path, described(at->path(), how)));
  }
  std::ranges::sort(all);
  return all;
}

std::vector<std::string> without(std::vector<std::string> described, const std::string& path) {
  std::erase_if(described, [&](const std::string& line) {
    return line.starts_with(fmt::format("{}:", path)) || line.starts_with(fmt::format("{}/", path));
  });
  return described;
}

ThreeTrees::ThreeTrees() {
  for (const char* const tree : {"base", "ours", "theirs"}) fs::create_directories(path(tree));
}

std::string ThreeTrees::sh(const std::string& command) const {
  const Ran ran = run_in(directory_.path(), "set -e; " + command);
  INFO(command << "\n" << ran.output);
  REQUIRE(ran.status == 0);
  return ran.output;
}

// Opened afresh, since the directories may have been made anew.
TreeSide ThreeTrees::side(const std::string& tree) {
  auto& store = stores_[tree];
  store = must(open_tree_store(path(tree), {.file_handles = file_handles}));
  return {.store = store.get(), .root = store->root()};
}

std::vector<PathChange> ThreeTrees::changes(const CompareOptions& options) {
  return must(comparer->changes(side("base"), side("theirs"), options));
}

std::string ThreeTrees::status(const CompareOptions& options) {
  return comparer->status(changes(options));
}

std::string ThreeTrees::diff(const CompareOptions& options) {
  const auto found = changes(options);
  std::string text;
  const TreeComparer::Patch patch{
      .before = side("base"), .after = side("theirs"), .changes = &found, .options = options};
  must(comparer->diff(patch, [&](std::string_view piece) {
    text += piece;
    return ok();
  }));
  return text;
}

void ThreeTrees::check_patch() {
  const std::string patch = diff();
  spit(path("patch"), patch);
  INFO(patch);
  sh("rm -rf copy && cp -a base copy");
  if (patch.find("diff --git") != std::string::npos) {
    const Ran ran = run_in(path("copy"), "git apply --binary --whitespace=nowarn ../patch");
    INFO(ran.output);
    REQUIRE(ran.status == 0);
  }
  REQUIRE(describe(path("copy")) == describe(path("theirs")));
}

Status ThreeTrees::merge(bool partial) {
  const MergeSides three = sides();
  const MergePlan planned = TRY(merger->plan(three, how));
  const std::string record =
      TRY(merger->stage(three, planned, {.partial = partial, .durable = false}));
  if (const auto applied = merger->apply(three.ours, record); !applied) {
    TRY(merger->finish(three.ours, record, {}));
    return applied;
  }
  return merger->finish(three.ours, record, {});
}

std::string ThreeTrees::conflicts(const MergePlan& plan) {
  std::string lines;
  for (const MergeConflict& conflict : plan.conflicts) {
    lines += fmt::format("{} {}\n", word_of(conflict.reason), conflict.path);
  }
  return lines;
}

std::string Editor::name() {
  static const std::vector<std::string> kOdd = {
      "caf\xc3\xa9", "\xff\xfe raw", "tab\there", "quote\"s", "back\\slash", "new\nline",
      " space",      "-dash",        "a => b",    "dev null", "\x01",        "trailing "};
  if (odd_names_ && pick(3) == 0) return kOdd[static_cast<std::size_t>(pick(12))];
  return fmt::format("{}{}", static_cast<char>('a' + pick(4)), pick(4));
}

// Lines that appear once in all of a tree's life, so that which file became which is plain.
std::string Editor::bytes() {
  const int kind = pick(10);
  if (kind == 0) return "";
  if (kind == 1) return fmt::format("{} {}", ++serial_, std::string_view("\0\xff\x01", 3));
  std::string text;
  const int lines = 8 + pick(30);
  for (int line = 0; line < lines; ++line) {
    text +=
        fmt::format("line {} of {} {}{}", line, ++serial_, random_(), kind == 2 ? "\r\n" : "\n");
  }
  if (kind == 3) text.pop_back();
  return text;
}

std::string Editor::fresh_path(const std::string& root) {
  std::string path = root;
  const int depth = pick(3);
  for (int level = 0; level < depth; ++level) {
    const std::string below = fmt::format("{}/{}", path, name());
    if (!fs::is_symlink(below) && (!fs::exists(below) || fs::is_directory(below))) path = below;
  }
  fs::create_directories(path);
  return fmt::format("{}/{}", path, name());
}

std::string Editor::any_file(const std::string& root) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_symlink() || !entry.is_directory()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  if (files.empty()) return "";
  return files[static_cast<std::size_t>(pick(static_cast<int>(files.size())))];
}

void Editor::fill(const std::string& root, int files) {
  for (int file = 0; file < files; ++file) {
    const std::string path = fresh_path(root);
    if (fs::exists(fs::symlink_status(path))) continue;
    if (pick(8) == 0) {
      fs::create_symlink(fmt::format("to/{}", ++serial_), path);
    } else {
      spit(path, bytes());
      if (pick(4) == 0) fs::permissions(path, fs::perms(0755));
    }
  }
}

void Editor::edit(const std::string& root, int times) {
  for (int time = 0; time < times; ++time) edit_one(root);
}

// A line changed, added or removed somewhere, or all of it.
void Editor::rewrite(const std::string& path) {
  if (fs::is_symlink(path)) {
    fs::remove(path);
    fs::create_symlink(fmt::format("to/{}", ++serial_), path);
    return;
  }
  std::string text = slurp(path);
  if (text.empty() || pick(6) == 0) return spit(path, bytes());
  const auto at = text.find('\n', static_cast<std::size_t>(pick(static_cast<int>(text.size()))));
  const std::size_t line = at == std::string::npos ? 0 : at + 1;
  const int kind = pick(3);
  if (kind == 0) text.insert(line, fmt::format("inserted {} {}\n", ++serial_, random_()));
  if (kind == 1) text.erase(line, text.find('\n', line) - line);
  if (kind == 2) text += fmt::format("appended {}", random_());
  spit(path, text);
}

void Editor::edit_one(const std::string& root) {
  const std::string file = any_file(root);
  const int kind = pick(10);
  if (file.empty() || kind < 2) {
    fill(root, 1);
  } else if (kind < 5) {
    rewrite(file);
  } else if (kind == 5) {
    fs::remove(file);
  } else if (kind == 6 && !fs::is_symlink(file)) {
    fs::permissions(file, fs::perms(fs::status(file).permissions() ^ fs::perms(0111)));
  } else if (kind == 7) {
    fs::remove(file);
    if (pick(2) == 0) {
      fs::create_symlink(fmt::format("to/{}", ++serial_), file);
    } else {
      spit(file + "/" + name(), bytes());
    }
  } else {
    const std::string target = fresh_path(root);
    if (!fs::exists(fs::symlink_status(target))) fs::rename(file, target);
    if (kind == 9 && fs::exists(fs::symlink_status(target)) && !fs::is_directory(target)) {
      rewrite(target);
    }
  }
}

void Editor::fill_beside(const std::string& root, int files) {
  for (int file = 0; file < files; ++file) {
    const std::string directory = fs::path(any_file(root)).parent_path();
    spit(fmt::format("{}/new{}", directory, ++serial_), bytes());
  }
}

bool Editor::rename_directory(const std::string& root) {
  std::vector<std::string> directories;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (!entry.is_symlink() && entry.is_directory()) directories.push_back(entry.path());
  }
  if (directories.empty()) return false;
  std::ranges::sort(directories);
  const std::string from =
      directories[static_cast<std::size_t>(pick(static_cast<int>(directories.size())))];
  const std::string to = fmt::format("{}/moved{}", root, ++serial_);
  fs::rename(from, to);
  return true;
}

int seeds(int otherwise) {
  const char* const wanted = std::getenv("AGENTFS_SEEDS");
  return wanted == nullptr ? otherwise : std::atoi(wanted);
}

}  // namespace agentfs::test
