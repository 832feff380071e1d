// SPDX-License-Identifier: MIT
#include "backends/git/message.h"

#include <algorithm>

#include "base/text.h"

namespace agentfs::git {
namespace {

enum class Field : char {
  worktree = 'w',
  git_directory = 'g',
  ref = 'r',
  changed = 'c',  // repeated
  message = 'm',
  author = 'a',
  seconds = 's',
  locks_from = 'l',
  source = 'f',
  left = 'k',     // repeated
  ignored = 'i',  // repeated
  known = 'b',    // repeated: its kind, id, size and path
  tells_away = 'd',
  away = 'n',  // repeated: its mode, id and path
  drops_absent = 'o',
  adds_tracked = 't',
  unignored = 'u',  // repeated
  parent = 'p',
  always = 'e',
  end = 'z',  // the last one
};

constexpr std::string_view kMade = "made ";
constexpr std::string_view kFailed = "failed ";
constexpr std::size_t kLongestSentence = 2000;

void add(std::string& text, Field field, std::string_view value) {
  text += fmt::format("{}{}:{}", static_cast<char>(field), value.size(), value);
}

constexpr std::size_t kIdSize = 40;

bool is_id(std::string_view id) {
  return id.size() == kIdSize && id.find_first_not_of("0123456789abcdef") == id.npos;
}

Status take_known(Order& order, std::string_view value) {
  constexpr std::size_t kBeforeSize = 1 + kIdSize;
  const auto blank = value.find(' ');
  const bool is_whole = blank != value.npos && blank > kBeforeSize;
  const std::string_view id = is_whole ? value.substr(1, kIdSize) : "";
  const auto size =
      text::number<std::uint64_t>(is_whole ? value.substr(kBeforeSize, blank - kBeforeSize) : "");
  if (!is_id(id) || !size || !std::string_view("fxl").contains(value.front())) {
    return fail(EBADMSG, "git: order: a known file is none ({})", text::shown(value));
  }
  order.commit.known.push_back({.kind = static_cast<KnownFile::Kind>(value.front()),
                                .id = std::string(id),
                                .size = *size,
                                .path = std::string(value.substr(blank + 1))});
  return ok();
}

Status take_away(Order& order, std::string_view value) {
  const auto blank = value.find(' ');
  const std::size_t path = blank + 1 + kIdSize + 1;
  const bool is_whole = blank != value.npos && path <= value.size() && value[path - 1] == ' ';
  const auto mode = text::number<std::uint32_t>(is_whole ? value.substr(0, blank) : "");
  const std::string_view id = is_whole ? value.substr(blank + 1, kIdSize) : "";
  if (!mode || !is_tree_mode(*mode) || !is_id(id)) {
    return fail(EBADMSG, "git: order: a path that is away is none ({})", text::shown(value));
  }
  order.commit.away.push_back(
      {.mode = *mode, .id = std::string(id), .path = std::string(value.substr(path))});
  return ok();
}

// Where a field that is a text goes; null: it is none.
std::string* text_of(TurnCommit& commit, Field field) {
  switch (field) {
    case Field::worktree:
      return &commit.worktree;
    case Field::git_directory:
      return &commit.git_directory;
    case Field::ref:
      return &commit.ref;
    case Field::message:
      return &commit.message;
    case Field::author:
      return &commit.author;
    case Field::source:
      return &commit.source;
    case Field::parent:
      return &commit.parent;
    default:
      return nullptr;
  }
}

// Where one goes that is repeated, a path each time; null: it is none.
std::vector<std::string>* paths_of(TurnCommit& commit, Field field) {
  switch (field) {
    case Field::changed:
      return &commit.changed;
    case Field::left:
      return &commit.left;
    case Field::ignored:
      return &commit.ignored;
    case Field::unignored:
      return &commit.unignored;
    default:
      return nullptr;
  }
}

Status take(Order& order, char letter, std::string_view value) {
  const auto field = static_cast<Field>(letter);
  if (std::string* const text = text_of(order.commit, field)) {
    *text = value;
    return ok();
  }
  if (auto* const paths = paths_of(order.commit, field)) {
    paths->emplace_back(value);
    return ok();
  }
  switch (field) {
    case Field::seconds:
      order.commit.seconds = text::number<std::int64_t>(value).value_or(0);
      return ok();
    case Field::locks_from:
      order.locks_from = text::number<std::int64_t>(value).value_or(0);
      return ok();
    case Field::known:
      return take_known(order, value);
    case Field::away:
      return take_away(order, value);
    case Field::tells_away:
      order.commit.asks_index = value != "1";
      return ok();
    case Field::drops_absent:
      order.commit.drops_absent = value == "1";
      return ok();
    case Field::adds_tracked:
      order.commit.adds_tracked = value == "1";
      return ok();
    case Field::always:
      order.commit.always = value == "1";
      return ok();
    default:
      return fail(EBADMSG, "git: order: a field is unknown ({})", static_cast<int>(letter));
  }
}

bool is_commit_id(std::string_view id) { return id.empty() || is_id(id); }

}  // namespace

std::string encode(const Order& order) {
  std::string text;
  add(text, Field::worktree, order.commit.worktree);
  add(text, Field::git_directory, order.commit.git_directory);
  add(text, Field::ref, order.commit.ref);
  for (const std::string& path : order.commit.changed) add(text, Field::changed, path);
  add(text, Field::message, order.commit.message);
  add(text, Field::author, order.commit.author);
  add(text, Field::seconds, std::to_string(order.commit.seconds));
  add(text, Field::locks_from, std::to_string(order.locks_from));
  if (!order.commit.source.empty()) add(text, Field::source, order.commit.source);
  for (const std::string& path : order.commit.left) add(text, Field::left, path);
  for (const std::string& path : order.commit.ignored) add(text, Field::ignored, path);
  for (const KnownFile& file : order.commit.known) {
    add(text, Field::known,
        fmt::format("{}{}{} {}", static_cast<char>(file.kind), file.id, file.size, file.path));
  }
  for (const AwayPath& path : order.commit.away) {
    add(text, Field::away, fmt::format("{} {} {}", path.mode, path.id, path.path));
  }
  if (!order.commit.asks_index) add(text, Field::tells_away, "1");
  if (order.commit.drops_absent) add(text, Field::drops_absent, "1");
  if (order.commit.adds_tracked) add(text, Field::adds_tracked, "1");
  for (const std::string& path : order.commit.unignored) add(text, Field::unignored, path);
  if (!order.commit.parent.empty()) add(text, Field::parent, order.commit.parent);
  if (order.commit.always) add(text, Field::always, "1");
  add(text, Field::end, "");
  return text;
}

Result<Order> decode_order(std::string_view text) {
  Order order;
  static const std::string kEnd = fmt::format("{}0:", static_cast<char>(Field::end));
  while (text != kEnd) {
    const auto colon = text.find(':');
    const auto size =
        colon == text.npos ? std::nullopt : text::number<std::size_t>(text.substr(1, colon - 1));
    if (!size || *size > text.size() - colon - 1) return fail(EBADMSG, "git: order: cut short");
    TRY(take(order, text.front(), text.substr(colon + 1, *size)));
    text.remove_prefix(colon + 1 + *size);
  }
  return order;
}

std::string encode(const Result<std::string>& made) {
  if (made) return fmt::format("{}{}\n", kMade, *made);
  std::string sentence(text::prefix(text::to_utf8(made.error().message), kLongestSentence));
  std::ranges::replace_if(
      sentence, [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return fmt::format("{}{} {}\n", kFailed, made.error().code, sentence);
}

Result<std::string> decode_made(std::string_view line) {
  if (line.starts_with(kMade) && is_commit_id(line.substr(kMade.size()))) {
    return std::string(line.substr(kMade.size()));
  }
  if (line.starts_with(kFailed)) {
    line.remove_prefix(kFailed.size());
    const auto blank = std::min(line.find(' '), line.size());
    const auto code = text::number<int>(line.substr(0, blank));
    line.remove_prefix(std::min(blank + 1, line.size()));
    if (code && *code > 0 && *code < 4096 && line.size() <= kLongestSentence) {
      return std::unexpected(Error{*code, text::to_utf8(line)});
    }
  }
  return fail(EBADMSG, "git: agentfs-commit said something else ({})", text::shown(line));
}

}  // namespace agentfs::git
