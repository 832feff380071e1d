// SPDX-License-Identifier: MIT
// fs.*, shell.* and sys.ctl: what a model's tools do. Paths are of the mount, relative ones start
// at the process's cwd.
#pragma once

#include "kernel/kernel.h"
#include "kernel/syscalls/row.h"

namespace agentfs {
namespace fs {

struct Read {
  std::string path{};
  std::optional<std::int64_t> first_line{};
  std::optional<std::int64_t> lines{};
  using Reply = std::string;
  static constexpr SyscallRow row{.name = "fs.read",
                                  .doc = "Reads a file, whole or a range of lines.",
                                  .effect = Effect::files,
                                  .right = Right::read,
                                  .kind = CallKind::query};
  static constexpr auto fields = std::tuple(
      field("path", &Read::path, "The file."),
      field("first_line", &Read::first_line, "First line to give, from 1; 1 if left out."),
      field("lines", &Read::lines, "How many lines; all if left out."));
};
Result<std::string> run(Kernel&, const Caller&, const Read&);

struct Write {
  std::string path{};
  std::string text{};
  using Reply = std::string;
  static constexpr SyscallRow row{.name = "fs.write",
                                  .doc = "Replaces a file's whole text, or makes the file.",
                                  .effect = Effect::files,
                                  .right = Right::read};
  static constexpr auto fields = std::tuple(field("path", &Write::path, "The file."),
                                            field("text", &Write::text, "Its new text."));
};
Result<std::string> run(Kernel&, const Caller&, const Write&);

struct Edit {
  std::string path{};
  std::string old_text{};
  std::string new_text{};
  std::optional<bool> all{};
  using Reply = std::string;
  static constexpr SyscallRow row{.name = "fs.edit",
                                  .doc = "Replaces an exact piece of a file's text by another.",
                                  .effect = Effect::files,
                                  .right = Right::read};
  static constexpr auto fields = std::tuple(
      field("path", &Edit::path, "The file."),
      field("old_text", &Edit::old_text, "The text to replace; it must stand in the file once."),
      field("new_text", &Edit::new_text, "What stands there afterwards."),
      field("all", &Edit::all, "Replace every place where it stands."));
};
Result<std::string> run(Kernel&, const Caller&, const Edit&);

struct List {
  std::string path{};
  using Reply = std::string;
  static constexpr SyscallRow row{.name = "fs.list",
                                  .doc = "Lists a directory.",
                                  .effect = Effect::files,
                                  .right = Right::read,
                                  .kind = CallKind::query};
  static constexpr auto fields = std::tuple(field("path", &List::path, "The directory."));
};
Result<std::string> run(Kernel&, const Caller&, const List&);

struct Search {
  std::string pattern{};
  std::optional<std::string> path{};
  std::optional<std::string> files{};
  std::optional<std::int64_t> limit{};
  using Reply = std::string;
  static constexpr SyscallRow row{.name = "fs.search",
                                  .doc = "Finds lines that match a regular expression in a tree.",
                                  .effect = Effect::files,
                                  .right = Right::read,
                                  .kind = CallKind::query,
                                  .blocks = true};
  static constexpr auto fields = std::tuple(
      field("pattern", &Search::pattern, "A regular expression of RE2: no back references."),
      field("path", &Search::path, "File or directory to search; the cwd if left out."),
      field("files", &Search::files, "Only files whose name matches this glob, such as *.c."),
      field("limit", &Search::limit, "Lines at the most; 200 if left out."));
};
void run(Kernel&, const Caller&, const Search&, const Completion<std::string>& done);

struct Delete {
  std::string path{};
  using Reply = std::string;
  static constexpr SyscallRow row{.name = "fs.delete",
                                  .doc = "Removes a file, or a directory with all in it.",
                                  .effect = Effect::files,
                                  .right = Right::read};
  static constexpr auto fields = std::tuple(field("path", &Delete::path, "What to remove."));
};
Result<std::string> run(Kernel&, const Caller&, const Delete&);

}  // namespace fs

namespace shell {

struct Exec {
  std::string command{};
  std::optional<std::string> device{};
  std::optional<std::string> cwd{};
  std::optional<std::int64_t> timeout{};
  std::optional<std::string> fs{};
  std::optional<std::string> on_fail{};
  std::optional<bool> dry_run{};
  using Reply = std::string;  // output, then "# exit=<n> signal= elapsed= truncated="
  static constexpr SyscallRow row{.name = "shell.exec",
                                  .doc = "Runs a command line in a sandbox.",
                                  .effect = Effect::shell,
                                  .right = Right::exec,
                                  .blocks = true};
  static constexpr auto fields = std::tuple(
      field("command", &Exec::command, "The command line, for sh -c."),
      field("device", &Exec::device, "Where it runs: a name under /dev; local if left out."),
      field("cwd", &Exec::cwd, "Directory it runs in; the process's own if left out."),
      field("timeout", &Exec::timeout, "Seconds until it is killed."),
      field("fs", &Exec::fs, "coherent, or fast: others see what it changed only at its end."),
      field("on_fail", &Exec::on_fail,
            "With fs fast, where it fails: fold what it changed, or drop."),
      field("dry_run", &Exec::dry_run, "With fs fast: tells what it changed, and drops it."));
};
void run(Kernel&, const Caller&, const Exec&, const Completion<std::string>& done);

}  // namespace shell

namespace sys {

struct Ctl {
  std::string path{};
  std::string line{};
  using Reply = std::string;
  static constexpr SyscallRow row{
      .name = "sys.ctl",
      .doc = "Writes a line to a file of the mount and reads the reply.",
      .effect = Effect::device,
      .right = Right::control,
      .blocks = true};
  static constexpr auto fields =
      std::tuple(field("path", &Ctl::path, "A control file of the mount, such as /proc/self/ctl."),
                 field("line", &Ctl::line, "The command; reading the file tells which there are."));
};
void run(Kernel&, const Caller&, const Ctl&, const Completion<std::string>& done);

// A document under /etc, checked and put in force.
struct SaveDocument {
  std::string path{};  // relative to /etc
  std::string text{};
  using Reply = Nothing;
  static constexpr SyscallRow row{.name = "sys.save",
                                  .doc = "Checks a document of /etc and puts it in force.",
                                  .effect = Effect::configuration,
                                  .right = Right::control};
  static constexpr auto fields = std::tuple(field("path", &SaveDocument::path, "Path below /etc."),
                                            field("text", &SaveDocument::text, "The whole text."));
};
Status run(Kernel&, const Caller&, const SaveDocument&);

struct RemoveDocument {
  std::string path{};
  using Reply = Nothing;
  static constexpr SyscallRow row{.name = "sys.remove",
                                  .doc = "Removes a document of /etc.",
                                  .effect = Effect::configuration,
                                  .right = Right::control};
  static constexpr auto fields =
      std::tuple(field("path", &RemoveDocument::path, "Path below /etc."));
};
Status run(Kernel&, const Caller&, const RemoveDocument&);

}  // namespace sys

namespace llm {

// One request to a model, outside any agent: /dev/llm/<model>/chat.
struct Chat {
  std::string model{};
  std::string request{};  // JSON as OpenAI's chat completions, or plain text: one user message
  using Reply = std::string;
  static constexpr SyscallRow row{.name = "llm.chat",
                                  .doc = "Asks a model.",
                                  .effect = Effect::device,
                                  .right = Right::exec,
                                  .blocks = true};
  static constexpr auto fields =
      std::tuple(field("model", &Chat::model, "Name of the model under /dev/llm."),
                 field("request", &Chat::request, "JSON with messages, or plain text."));
};
void run(Kernel&, const Caller&, const Chat&, const Completion<std::string>& done);

}  // namespace llm
}  // namespace agentfs
