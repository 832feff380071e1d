// SPDX-License-Identifier: MIT
#include "backends/compare/patch.h"

#include <optional>

#include "backends/compare/content.h"
#include "backends/compare/line_merge.h"
#include "base/git_quoted.h"

namespace agentfs::compare {
namespace {

using Kind = PathChange::Kind;

constexpr std::size_t kPiece = std::size_t{64} << 10;

// Collects small pieces into larger ones; after a failure the rest is dropped.
class Output {
 public:
  explicit Output(const TreeComparer::Sink& sink) : sink_(sink) {}
  void add(std::string_view text) {
    buffer_ += text;
    if (buffer_.size() >= kPiece) hand_on();
  }
  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    add(fmt::format(format, std::forward<Args>(args)...) + '\n');
  }
  Status flush() {
    hand_on();
    return result_;
  }
  bool failed() const { return !result_; }

 private:
  void hand_on() {
    if (result_ && !buffer_.empty()) result_ = sink_(buffer_);
    buffer_.clear();
  }

  const TreeComparer::Sink& sink_;
  std::string buffer_;
  Status result_ = ok();
};

const FileState& latest(const PathChange& change) {
  return change.after.exists() ? change.after : change.before;
}

std::string shown_path(const PathChange& change) {
  return git_quoted(latest(change).is_directory() ? change.path + '/' : change.path);
}

// Permissions of which a patch can only tell the executable bit.
bool loses_permissions(const PathChange& change) {
  if (!change.before.exists() || !change.after.exists()) return false;
  if (!modes_differ(change.before, change.after)) return false;
  const bool told = git_mode(change.before.mode) != git_mode(change.after.mode);
  return !told || ((change.before.mode ^ change.after.mode) & kPermissions & ~mode_t{0111}) != 0;
}

std::string_view verb_of(Kind kind) {
  switch (kind) {
    case Kind::added:
      return "was added";
    case Kind::deleted:
      return "was deleted";
    case Kind::retyped:
      return "became a file of another type";
    default:
      return "differs";
  }
}

// One version of a file, as a patch tells it.
struct Version {
  bool exists = false;
  std::string path{};
  FileState state{};
  std::string bytes{};
};

class PatchWriter {
 public:
  PatchWriter(const TreeComparer::Patch& patch, const TreeComparer::Sink& sink)
      : patch_(patch), before_(patch.before), after_(patch.after), out_(sink) {}

  Status run() {
    for (const PathChange& change : *patch_.changes) note(change);
    for (const PathChange& change : *patch_.changes) {
      if (change.whole || latest(change).is_directory()) continue;
      if (patch_.options.cancelled && patch_.options.cancelled()) {
        return fail(EINTR, "diff: cancelled at {}", shown_path(change));
      }
      TRY(is_told_in_two(change) ? write_in_two(change) : write(change));
      if (out_.failed()) break;
    }
    return out_.flush();
  }

 private:
  void note(const PathChange& change);
  Status write(const PathChange& change);
  static bool is_told_in_two(const PathChange& change);
  Status write_in_two(const PathChange& change);
  Status write_content(const PathChange& change, const Version& before, const Version& after);
  void write_header(const PathChange& change);
  bool is_too_large(const PathChange& change) const {
    return std::max(change.before.is_regular() ? change.before.size : 0,
                    change.after.is_regular() ? change.after.size : 0) > patch_.options.largest;
  }

  const TreeComparer::Patch& patch_;
  PathFinder before_;
  PathFinder after_;
  Output out_;
};

void PatchWriter::note(const PathChange& change) {
  const FileState& state = latest(change);
  const std::string path = shown_path(change);
  if (change.whole) {
    out_.line("# {}: {}; not part of this patch", path, verb_of(change.kind));
  } else if (change.empty) {
    out_.line("# {}: an empty directory {}", path, verb_of(change.kind));
  } else if (!state.is_directory() &&
             (!is_in_patches(state.mode) ||
              (change.before.exists() && !is_in_patches(change.before.mode)))) {
    out_.line("# {}: a special file {}", path, verb_of(change.kind));
  } else if (change.content && is_too_large(change)) {
    out_.line("# {}: {} bytes, too large for a patch (limit {})", path,
              std::max(change.before.size, change.after.size), patch_.options.largest);
  }
  if (change.attributes) out_.line("# {}: its owner or extended attributes changed", path);
  if (loses_permissions(change)) {
    out_.line("# {}: mode {:o} became {:o}", path, change.before.mode & kPermissions,
              change.after.mode & kPermissions);
  }
}

// Of a link that is renamed git would not see in time that a directory may take its place.
bool PatchWriter::is_told_in_two(const PathChange& change) {
  return change.kind == Kind::retyped ||
         (change.kind == Kind::renamed && S_ISLNK(change.before.mode));
}

Status PatchWriter::write_in_two(const PathChange& change) {
  PathChange half = change;
  half.kind = Kind::deleted;
  half.content = true;
  half.path = change.from;
  half.after = {};
  TRY(write(half));
  half.kind = Kind::added;
  half.path = change.path;
  half.before = {};
  half.after = change.after;
  return write(half);
}

Status PatchWriter::write(const PathChange& change) {
  Version before{.exists = change.before.exists(), .path = change.from, .state = change.before};
  Version after{.exists = change.after.exists(), .path = change.path, .state = change.after};
  if ((before.exists && !is_in_patches(before.state.mode)) ||
      (after.exists && !is_in_patches(after.state.mode))) {
    return ok();
  }
  const bool same_modes = git_mode(change.before.mode) == git_mode(change.after.mode);
  if (!change.content && change.kind == Kind::modified && same_modes) return ok();
  if (!change.content) {
    write_header(change);
    return ok();
  }
  bool is_known = !is_too_large(change);
  for (const auto& [version, finder] : {std::pair{&before, &before_}, {&after, &after_}}) {
    if (!version->exists || !is_known) continue;
    auto bytes = read_leaf(TRY(finder->leaf(version->path)), patch_.options.largest);
    is_known = bytes.has_value();
    if (!is_known && !is_unreadable(bytes.error()) && bytes.error().code != EFBIG) {
      return fail(bytes.error().code, "{}: {}", shown_path(change), bytes.error().message);
    }
    if (is_known) version->bytes = *std::move(bytes);
  }
  write_header(change);
  if (is_known) return write_content(change, before, after);
  out_.line("Binary files {} and {} differ",
            before.exists ? git_quoted("a/" + before.path) : "/dev/null",
            after.exists ? git_quoted("b/" + after.path) : "/dev/null");
  return ok();
}

void PatchWriter::write_header(const PathChange& change) {
  const std::string& from = change.from.empty() ? change.path : change.from;
  out_.line("diff --git {} {}", git_quoted("a/" + from), git_quoted("b/" + change.path));
  const mode_t old_mode = git_mode(change.before.mode);
  const mode_t new_mode = git_mode(change.after.mode);
  if (!change.before.exists()) {
    out_.line("new file mode {:o}", new_mode);
  } else if (!change.after.exists()) {
    out_.line("deleted file mode {:o}", old_mode);
  } else if (old_mode != new_mode) {
    out_.line("old mode {:o}\nnew mode {:o}", old_mode, new_mode);
  }
  if (change.kind == Kind::renamed) {
    out_.line("similarity index {}%\nrename from {}\nrename to {}", change.similarity,
              git_quoted(from), git_quoted(change.path));
  }
}

Status PatchWriter::write_content(const PathChange& change, const Version& before,
                                  const Version& after) {
  const std::string nothing(40, '0');
  const bool in_place =
      before.exists && after.exists && git_mode(before.state.mode) == git_mode(after.state.mode);
  if (before.exists && after.exists && before.bytes == after.bytes) return ok();
  out_.line("index {}..{}{}", before.exists ? blob_id(before.bytes) : nothing,
            after.exists ? blob_id(after.bytes) : nothing,
            in_place ? fmt::format(" {:o}", git_mode(change.after.mode)) : "");
  if (before.bytes == after.bytes) return ok();  // an empty file that came or went
  if (!is_binary(before.bytes) && !is_binary(after.bytes)) {
    // As git does, so that a name with spaces has an end.
    const auto named = [](const char* prefix, const Version& version) {
      if (!version.exists) return std::string("/dev/null");
      const bool has_space = version.path.find(' ') != std::string::npos;
      return fmt::format("{}{}", git_quoted(prefix + version.path), has_space ? "\t" : "");
    };
    out_.line("--- {}\n+++ {}", named("a/", before), named("b/", after));
  }
  return write_hunks(before.bytes, after.bytes, [&](std::string_view piece) { out_.add(piece); });
}

}  // namespace

std::string status_text(const std::vector<PathChange>& changes) {
  std::string text;
  for (const PathChange& change : changes) {
    const bool has_modes = change.before.exists() && change.after.exists() &&
                           modes_differ(change.before, change.after);
    if (latest(change).is_directory() && !change.whole && !change.empty && !has_modes &&
        !change.attributes) {
      continue;
    }
    text += static_cast<char>(change.kind);
    if (change.kind == Kind::renamed) {
      text += fmt::format("{:03}\t{}", change.similarity, git_quoted(change.from));
    }
    text += fmt::format("\t{}", shown_path(change));
    if (has_modes) {
      text += fmt::format("\tmode {:o} {:o}", change.before.mode & kPermissions,
                          change.after.mode & kPermissions);
    }
    if (change.attributes) text += "\tattributes";
    text += '\n';
  }
  return text;
}

Status write_patch(const TreeComparer::Patch& patch, const TreeComparer::Sink& sink) {
  return PatchWriter(patch, sink).run();
}

}  // namespace agentfs::compare
