// SPDX-License-Identifier: MIT
#include "agents/context.h"

#include <algorithm>
#include <utility>

#include "agents/tools.h"
#include "kernel/configuration.h"

namespace agentfs::agents {
namespace {

constexpr std::int64_t kUsualWindow = 128'000;

std::string preface(const Process& process, const ProfileSettings& profile) {
  const std::uint64_t pid = process.pid.value;
  std::string text = fmt::format(
      "You are {}, process {} of agentfs, and work for {}. You act through the tools you are "
      "given; when the task is done, or cannot be done, answer without calling a tool.\n\n",
      process.name, pid, process.user);
  text += fmt::format("- Your working directory is {}. Relative paths start there.\n", process.cwd);
  if (!process.workspace.empty()) {
    text += fmt::format("- Your workspace is /workspaces/{}.\n", process.workspace);
  }
  text += fmt::format(
      "- Absolute paths are paths of agentfs: /workspaces, /home/{}, /proc/{} (this process), "
      "/dev, "
      "/etc, /sys. Each directory of the system has a README.\n",
      process.user, pid);
  text += fmt::format(
      "- A tool's result longer than {} bytes is cut in the middle; all of it is then in "
      "/proc/{}/calls/<number>/result.\n",
      profile.tool_result_bytes, pid);
  text += "- A tool that fails answers with a sentence that says what would have worked.\n";
  return text;
}

std::string system_text(std::string text, const std::vector<Source>& sources) {
  for (const Source& source : sources) {
    if (!source.kept) continue;
    text += fmt::format("\n# From {}\n\n{}", source.path, source.text);
    if (!text.ends_with('\n')) text += '\n';
  }
  return text;
}

Source always_kept(std::string path, std::size_t bytes, std::string verdict) {
  return {std::move(path), bytes, estimated_tokens(bytes), true, std::move(verdict), {}};
}

// Room for the answer: what the model is allowed, or a quarter of a small window.
std::int64_t answer_tokens(const ModelSettings& model, std::int64_t window) {
  const std::int64_t wanted = model.max_output_tokens > 0 ? model.max_output_tokens : 8'192;
  return std::min(wanted, window / 4);
}

}  // namespace

Result<Context> assemble(Kernel& kernel, const Process& process, Reader reader) {
  const ProfileSettings profile = TRY(kernel.configuration().profile(process.profile));
  // A model that is not there is told of when it is asked; the context can still be looked at.
  const ModelSettings model = kernel.configuration().model(process.model).value_or(ModelSettings{});
  Context context;
  context.window = profile.context_tokens > 0 ? profile.context_tokens : model.context_tokens;
  if (context.window <= 0) context.window = kUsualWindow;
  context.tools = tool_descriptions(profile);
  std::string text = preface(process, profile);
  context.fixed = {always_kept("system prompt", text.size(), "kept"),
                   always_kept("tools", json::dump(json::Value(context.tools)).size(),
                               fmt::format("kept: {} schemas", context.tools.size()))};
  std::int64_t fixed = answer_tokens(model, context.window);
  for (const Source& source : context.fixed) fixed += source.tokens;
  context.available = std::max<std::int64_t>(context.window - fixed, 0);
  // The conversation always has half of the room.
  context.sources = gather_sources(kernel, process, context.available / 2, reader);
  std::int64_t taken = 0;
  for (const Source& source : context.sources) taken += source.kept ? source.tokens : 0;
  context.conversation_budget = context.available - taken;
  context.messages.push_back(
      json::Object{{"role", "system"}, {"content", system_text(std::move(text), context.sources)}});
  context.conversation = conversation(process, context.conversation_budget);
  std::ranges::move(context.conversation.messages, std::back_inserter(context.messages));
  context.conversation.messages.clear();
  return context;
}

std::string show_context(const Context& context) {
  return json::dump_pretty(json::Object{{"messages", context.messages}, {"tools", context.tools}});
}

std::string show_why(const Context& context) {
  std::string out = "# source\tbytes\ttokens\twhy\n";
  for (const auto* sources : {&context.fixed, &context.sources}) {
    for (const Source& source : *sources) {
      out +=
          fmt::format("{}\t{}\t{}\t{}\n", source.path, source.bytes, source.tokens, source.verdict);
    }
  }
  const Conversation& talk = context.conversation;
  const std::string verdict =
      talk.dropped == 0
          ? fmt::format("kept: {} messages", talk.kept)
          : fmt::format("kept: {} messages; dropped: the {} oldest, over the budget ({} tokens)",
                        talk.kept, talk.dropped, context.conversation_budget);
  out += fmt::format("conversation\t{}\t{}\t{}\n", talk.bytes, talk.tokens, verdict);
  return out;
}

}  // namespace agentfs::agents
