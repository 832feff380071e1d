// SPDX-License-Identifier: MIT
#include "backends/compare/line_merge.h"

#include "backends/git/library.h"

namespace agentfs::compare {
namespace {

using PatchHandle = git::Handle<git_patch, git_patch_free>;

// What libgit2 takes for bytes that exist, even where there are none.
const char* present(std::string_view bytes) { return bytes.empty() ? "" : bytes.data(); }

int hand_on(const git_diff_delta*, const git_diff_hunk*, const git_diff_line* line, void* payload) {
  const auto& sink = *static_cast<const TextSink*>(payload);
  switch (line->origin) {
    case GIT_DIFF_LINE_FILE_HDR:
      return 0;
    case GIT_DIFF_LINE_CONTEXT:
    case GIT_DIFF_LINE_ADDITION:
    case GIT_DIFF_LINE_DELETION:
      sink({&line->origin, 1});
      break;
    default:
      break;
  }
  sink({line->content, line->content_len});
  return 0;
}

git_merge_file_input input_of(std::string_view bytes) {
  git_merge_file_input input{};
  git_merge_file_input_init(&input, GIT_MERGE_FILE_INPUT_VERSION);
  input.ptr = present(bytes);
  input.size = bytes.size();
  return input;
}

}  // namespace

bool is_binary(std::string_view bytes) {
  constexpr std::size_t kLookedAt = 8000;
  return bytes.substr(0, kLookedAt).find('\0') != std::string_view::npos;
}

std::string blob_id(std::string_view bytes) {
  git_oid id{};
  std::string digits(GIT_OID_HEXSZ, '0');
  if (git_odb_hash(&id, present(bytes), bytes.size(), GIT_OBJECT_BLOB) == 0) {
    git_oid_fmt(digits.data(), &id);
  }
  return digits;
}

Status write_hunks(std::string_view before, std::string_view after, const TextSink& sink) {
  if (before == after) return ok();
  git_diff_options options{};
  git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
  options.max_size = -1;  // what is too large has been told by now
  options.flags = GIT_DIFF_SHOW_BINARY;
  options.flags |=
      is_binary(before) || is_binary(after) ? GIT_DIFF_FORCE_BINARY : GIT_DIFF_FORCE_TEXT;
  git_patch* raw = nullptr;
  TRY(git::check(git_patch_from_buffers(&raw, present(before), before.size(), "a", present(after),
                                        after.size(), "b", &options),
                 "patch"));
  const PatchHandle patch(raw);
  const int result = git_patch_print(patch.get(), hand_on, const_cast<TextSink*>(&sink));
  return git::check(result, "patch");
}

Result<MergedText> merge_lines(const MergeInput& input) {
  const git_merge_file_input base = input_of(input.base);
  const git_merge_file_input ours = input_of(input.ours);
  const git_merge_file_input theirs = input_of(input.theirs);
  git_merge_file_options options{};
  git_merge_file_options_init(&options, GIT_MERGE_FILE_OPTIONS_VERSION);
  options.ancestor_label = "base";
  options.our_label = "ours";
  options.their_label = "theirs";
  git_merge_file_result result{};
  TRY(git::check(git_merge_file(&result, &base, &ours, &theirs, &options), "merge"));
  MergedText merged{.text = std::string(result.ptr == nullptr ? "" : result.ptr, result.len),
                    .is_clean = result.automergeable != 0};
  git_merge_file_result_free(&result);
  return merged;
}

}  // namespace agentfs::compare
