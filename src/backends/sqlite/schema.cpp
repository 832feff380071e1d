// SPDX-License-Identifier: MIT
#include "backends/sqlite/schema.h"

#include <span>

namespace agentfs::sqlite {
namespace {

constexpr std::int64_t kApplicationId = 0x61676673;  // "agfs"

constexpr const char* kTables = R"sql(
  CREATE TABLE object (
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (collection, key)
  ) WITHOUT ROWID, STRICT;
  CREATE TABLE meta (name TEXT PRIMARY KEY NOT NULL, value) WITHOUT ROWID;
  INSERT INTO meta VALUES ('reached', 0);
)sql";

// A view shows these members of the collection's objects as columns; an object without one has
// NULL there. The whole object is in the last column.
struct View {
  const char* collection = "";
  std::span<const char* const> members;
};

constexpr const char* kProcess[] = {"pid",       "parent",      "name",    "user",
                                    "state",     "exit_reason", "profile", "model",
                                    "workspace", "cwd",         "started", "ended"};
constexpr const char* kMessage[] = {"number", "role", "time", "from", "run", "text"};
constexpr const char* kCall[] = {"number",    "tool",   "state",   "run",  "turn",
                                 "arguments", "result", "started", "ended"};
constexpr const char* kRun[] = {"number", "outcome", "text", "started", "ended"};
constexpr View kViews[] = {
    {"process", kProcess}, {"message", kMessage}, {"call", kCall}, {"run", kRun}};

std::string text_of(const View& view) {
  std::string columns;
  for (const char* member : view.members) {
    columns += fmt::format("json ->> '{0}' AS \"{0}\", ", member);
  }
  return fmt::format(
      "CREATE VIEW \"{0}\" AS SELECT key, {1}json FROM object WHERE collection = '{0}'",
      view.collection, columns);
}

// A view's columns may change without a new format: it holds nothing.
Status refresh(const Connection& connection, const View& view) {
  const std::string wanted = text_of(view);
  Statement found =
      TRY(connection.prepare("SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?"));
  TRY(found.bind(1, view.collection));
  const bool there = TRY(found.step());
  if (there && found.text(0) == wanted) return ok();
  found.reset();
  return connection.run(fmt::format("DROP VIEW IF EXISTS \"{}\"; {}", view.collection, wanted));
}

Status refuse_strangers(const Connection& connection, const std::string& path) {
  const std::int64_t format = TRY(connection.number("PRAGMA user_version"));
  const std::int64_t application = TRY(connection.number("PRAGMA application_id"));
  const std::int64_t objects = TRY(connection.number("SELECT count(*) FROM sqlite_schema"));
  if (application != kApplicationId && (application != 0 || format != 0 || objects != 0)) {
    return fail(EBADMSG, "{}: a database of another program (application id {}, {} tables)", path,
                application, objects);
  }
  if (format > kFormat) {
    return fail(ENOTSUP,
                "{}: written in format {}; this agentfs reads up to {}, a newer one is "
                "needed",
                path, format, kFormat);
  }
  return ok();
}

}  // namespace

Status prepare_schema(const Connection& connection, const std::string& path) {
  TRY(refuse_strangers(connection, path));
  // A checkpoint is made each 1,000 pages; the log file gives back what a long reader made it grow.
  TRY(
      connection.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                     "PRAGMA secure_delete = OFF; PRAGMA trusted_schema = OFF;"
                     "PRAGMA cell_size_check = ON; PRAGMA journal_size_limit = 67108864"));
  Transaction transaction(connection);
  TRY(transaction.begin());
  if (TRY(connection.number("PRAGMA user_version")) == 0) {
    TRY(connection.run(kTables));
    TRY(connection.run(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}",
                                   kApplicationId, kFormat)));
  }
  for (const View& view : kViews) TRY(refresh(connection, view));
  return transaction.commit();
}

}  // namespace agentfs::sqlite
