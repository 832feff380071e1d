// SPDX-License-Identifier: MIT
#include "backends/git/dot_git.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "backends/git/worktree.h"
#include "base/log.h"
#include "base/text.h"

namespace agentfs::git {
namespace {

constexpr off_t kMostRefs = off_t{128} << 20;

struct Part {
  const char* path;
  off_t most = 0;  // bytes; 0: any size
};

// What libgit2 opens by name; a directory stands before what is in it.
constexpr auto kParts = std::to_array<Part>({
    {"config", kMostRules},
    {"config.worktree", kMostRules},
    {"HEAD", kMostRules},
    {"packed-refs", kMostRefs},
    {"index"},
    {"shallow", kMostRefs},
    {"info"},
    {"info/exclude", kMostRules},
    {"info/attributes", kMostRules},
    {"info/grafts", kMostRefs},
    {"objects"},
    {"objects/info"},
    {"objects/info/alternates", kMostRules},
    {"objects/info/commit-graph"},
    {"objects/pack"},
    {"refs"},
    {"refs/heads"},
    {"logs"},
    {"logs/HEAD"},
});

enum class Standing { plain, absent, link };

Result<Standing> look_at(int git, const Part& part, const std::string& shown) {
  struct stat found{};
  if (::fstatat(git, part.path, &found, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return Standing::absent;
    return fail_errno(shown);
  }
  if (S_ISLNK(found.st_mode)) return Standing::link;
  if (!S_ISREG(found.st_mode) && !S_ISDIR(found.st_mode)) {
    return fail(EINVAL, "git: {} is not a plain file; nothing is committed until it is", shown);
  }
  if (part.most != 0 && found.st_size > part.most) {
    return fail(EINVAL, "git: {} is too large ({} bytes); nothing is committed until it has {}",
                shown, found.st_size, part.most);
  }
  return Standing::plain;
}

// The path of the first part that is a link; "" where there is none.
Result<std::string> find_link(int git, const std::string& ref) {
  for (const Part& part : kParts) {
    std::string shown = fmt::format(".git/{}", part.path);
    if (TRY(look_at(git, part, shown)) == Standing::link) return shown;
  }
  // A ref and the directories above it, and its log.
  for (const std::string prefix : {"", "logs/"}) {
    for (std::size_t at = 0; at != ref.npos;) {
      at = ref.find('/', at + 1);
      const std::string path = prefix + ref.substr(0, at);
      std::string shown = text::shown(".git/" + path);
      if (TRY(look_at(git, {.path = path.c_str(), .most = kMostRules}, shown)) == Standing::link) {
        return shown;
      }
    }
  }
  return std::string();
}

constexpr std::size_t kMostHead = 255;  // bytes that git reads of it

std::string beginning_of(int directory, const std::string& name) {
  std::string bytes(kMostHead, '\0');
  const auto file = open_file(directory, name);
  const ssize_t count = file ? ::read(file->get(), bytes.data(), bytes.size()) : 0;
  bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  return bytes;
}

bool is_head(std::string_view text) {
  constexpr std::string_view kRef = "ref:";
  constexpr std::size_t kDigits = 40;
  if (text.starts_with(kRef)) return text::trim(text.substr(kRef.size())).starts_with("refs/");
  const auto is_digit = [](unsigned char c) { return std::isxdigit(c) != 0; };
  return text.size() >= kDigits && std::ranges::all_of(text.substr(0, kDigits), is_digit);
}

bool not_used(const std::string& worktree, std::string_view why) {
  log::warning("{}/.git: not used: {}", worktree, why);
  return false;
}

}  // namespace

Result<bool> has_own_git(const std::string& worktree, const std::string& ref) {
  const UniqueFd top(::open(worktree.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!top) return fail_errno(worktree);
  const Kind kind = TRY(kind_of(top.get(), ".git"));
  if (kind == Kind::none) return false;
  if (kind != Kind::directory) return not_used(worktree, "it is not a directory");
  const auto git = open_directory(top.get(), ".git");
  if (!git) return not_used(worktree, git.error().message);
  const std::string link = TRY(find_link(git->get(), ref));
  if (!link.empty()) return not_used(worktree, link + " is a link");
  return borrows_nothing(worktree);
}

Status check_bare(const std::string& path) {
  const UniqueFd git(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!git) return fail_errno(path);
  const std::string link = TRY(find_link(git.get(), "refs"));
  if (!link.empty()) return fail(EINVAL, "git: {} is a link", link);
  struct stat found{};
  for (const char* part : {"objects/info/alternates", "commondir"}) {
    if (::fstatat(git.get(), part, &found, AT_SYMLINK_NOFOLLOW) != 0) continue;
    return fail(EXDEV, "git: it borrows from another repository ({})", part);
  }
  std::string settings = file::read(path + "/config").value_or("");
  std::ranges::transform(settings, settings.begin(),
                         [](unsigned char c) { return std::tolower(c); });
  if (!settings.contains("[include")) return ok();
  return fail(EXDEV, "git: its config includes another file");
}

bool has_git_in(const std::string& directory) {
  const UniqueFd top(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  const auto kind = top ? kind_of(top.get(), ".git") : Kind::none;
  if (!kind || *kind == Kind::none || *kind == Kind::other) return false;
  if (*kind == Kind::link) return true;
  if (*kind != Kind::directory) return beginning_of(top.get(), ".git").starts_with("gitdir: ");
  const auto git = open_directory(top.get(), ".git");
  if (!git) return true;
  const auto target = read_link(git->get(), "HEAD");
  return target ? target->starts_with("refs/") : is_head(beginning_of(git->get(), "HEAD"));
}

Status check_nested_git(const std::string& directory) {
  const UniqueFd git(
      ::open((directory + "/.git").c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!git) return ok();  // a file, which leads into the .git of a repository above
  TRY(find_link(git.get(), "refs"));
  return ok();
}

}  // namespace agentfs::git
