// SPDX-License-Identifier: MIT
// fs.edit: an exact piece of text by another, and what is near where it is not there.
#include <algorithm>

#include "base/text.h"
#include "kernel/paths.h"
#include "kernel/syscalls/fs.h"
#include "kernel/syscalls/values.h"

namespace agentfs::fs {
namespace {

constexpr std::size_t kMostShown = 20;       // line numbers of repeated matches
constexpr std::size_t kMostCandidates = 3;   // near misses
constexpr std::size_t kMostLines = 100'000;  // that are looked at for them

std::vector<std::size_t> find_all(std::string_view whole, std::string_view piece) {
  std::vector<std::size_t> places;
  for (auto at = whole.find(piece); at != std::string_view::npos;
       at = whole.find(piece, at + piece.size())) {
    places.push_back(at);
  }
  return places;
}

std::size_t line_of(std::string_view whole, std::size_t at) {
  return static_cast<std::size_t>(
             std::count(whole.begin(), whole.begin() + static_cast<long>(at), '\n')) +
         1;
}

// How alike two lines are, 0 to 1: the share of pairs of neighbouring letters (Dice), which is
// linear where an edit distance is not. White space at the ends does not count.
double likeness(std::string_view a, std::string_view b) {
  a = text::trim(a);
  b = text::trim(b);
  if (a == b) return a.empty() ? 0 : 1;
  if (a.size() < 2 || b.size() < 2) return 0;
  const auto pairs_of = [](std::string_view s) {
    std::vector<std::uint16_t> pairs;
    for (std::size_t i = 0; i + 1 < s.size() && i < 400; ++i) {
      pairs.push_back(static_cast<std::uint16_t>((static_cast<unsigned char>(s[i]) << 8) |
                                                 static_cast<unsigned char>(s[i + 1])));
    }
    std::ranges::sort(pairs);
    return pairs;
  };
  const auto left = pairs_of(a);
  const auto right = pairs_of(b);
  std::vector<std::uint16_t> both;
  std::ranges::set_intersection(left, right, std::back_inserter(both));
  return 2.0 * static_cast<double>(both.size()) / static_cast<double>(left.size() + right.size());
}

// "3: int main() {": the lines most like the first line that was looked for.
std::string nearest_lines(std::string_view whole, std::string_view piece) {
  const auto wanted = text::lines(piece);
  const auto first =
      std::ranges::find_if(wanted, [](auto line) { return !text::trim(line).empty(); });
  if (first == wanted.end()) return {};
  const auto lines = text::lines(whole);
  std::vector<std::pair<double, std::size_t>> scored;
  for (std::size_t i = 0; i < std::min(lines.size(), kMostLines); ++i) {
    const double score = likeness(lines[i], *first);
    if (score >= 0.4) scored.emplace_back(-score, i);
  }
  std::ranges::sort(scored);
  std::string result;
  for (std::size_t i = 0; i < std::min(scored.size(), kMostCandidates); ++i) {
    const std::size_t at = scored[i].second;
    result += fmt::format("\n{}: {}", at + 1, text::to_utf8(text::prefix(lines[at], 200)));
  }
  return result;
}

std::unexpected<Error> no_match(const std::string& path, std::string_view whole,
                                std::string_view piece) {
  const std::string near = nearest_lines(whole, piece);
  if (near.empty()) {
    return fail(EINVAL,
                "{}: old_text is not in the file, nor anything like it ({}); read the "
                "file and copy the text exactly",
                path, text::shown(piece));
  }
  return fail(EINVAL,
              "{}: old_text is not in the file ({}); it must match exactly, white space "
              "included; the nearest lines are:{}",
              path, text::shown(piece), near);
}

std::unexpected<Error> many_matches(const std::string& path, std::string_view whole,
                                    const std::vector<std::size_t>& places) {
  std::string numbers;
  for (std::size_t i = 0; i < std::min(places.size(), kMostShown); ++i) {
    numbers += fmt::format("{}{}", i == 0 ? "" : ", ", line_of(whole, places[i]));
  }
  if (places.size() > kMostShown) numbers += ", …";
  return fail(EINVAL,
              "{}: old_text stands in the file {} times (at lines {}); more of the text "
              "around one of them, or all=true, would do",
              path, places.size(), numbers);
}

// Before it is made: many places and a long text are more than there is room for.
Status check_size(const std::string& path, std::size_t whole, std::size_t places,
                  const Edit& args) {
  const std::size_t size = whole - places * args.old_text.size() + places * args.new_text.size();
  const std::size_t most = std::max(whole, values::kMostText);
  if (size <= most) return ok();
  return fail(EMSGSIZE,
              "{}: would have {} bytes, {} places of {} each among them; up to {} are written at "
              "once, and nothing was",
              path, size, places, args.new_text.size(), most);
}

std::string replaced(std::string_view whole, const std::vector<std::size_t>& places,
                     const Edit& args) {
  std::string result;
  std::size_t from = 0;
  for (const std::size_t at : places) {
    result.append(whole.substr(from, at - from)).append(args.new_text);
    from = at + args.old_text.size();
  }
  return result.append(whole.substr(from));
}

}  // namespace

Result<std::string> run(Kernel& kernel, const Caller& caller, const Edit& args) {
  if (args.old_text.empty()) {
    return fail(EINVAL,
                "old_text: is empty; the exact text to replace would do, and fs.write "
                "makes a new file");
  }
  if (args.old_text == args.new_text) {
    return fail(EINVAL, "new_text: is the same as old_text; nothing would change");
  }
  const std::string path = paths::normalise(args.path, values::cwd(kernel, caller));
  TRY(kernel.may_change(caller, path));
  std::string told;
  const auto edited = [&]() -> Result<std::string> {
    const std::string whole = TRY(kernel.paths().peek(caller, path));
    const std::vector<std::size_t> places = find_all(whole, args.old_text);
    if (places.empty()) return no_match(path, whole, args.old_text);
    if (places.size() > 1 && !args.all.value_or(false)) return many_matches(path, whole, places);
    TRY(check_size(path, whole.size(), places.size(), args));
    told = fmt::format("edited {}: {} {} replaced, first at line {}\n", path, places.size(),
                       places.size() == 1 ? "place" : "places", line_of(whole, places.front()));
    return replaced(whole, places, args);
  };
  TRY(kernel.paths().edit(caller, path, edited));
  return told;
}

}  // namespace agentfs::fs
