// SPDX-License-Identifier: MIT
#include "kernel/record.h"

#include <fmt/format.h>

#include <ctime>
#include <iterator>

#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "kernel/journal.h"

namespace agentfs {
namespace {

constexpr std::size_t kHashDigits = 64;
constexpr std::string_view kPrevious = ",\"prev\":\"";
constexpr std::string_view kHash = ",\"hash\":\"";
constexpr std::size_t kHashTail = kHash.size() + kHashDigits + 2;          // …"}
constexpr std::size_t kPreviousTail = kPrevious.size() + kHashDigits + 1;  // …"

void write_author(json::ObjectWriter& line, const Author& author) {
  if (!author.lineage.empty()) write_lineage(line, author);
  line.text_if_any("user", author.user);
  if (author.host_pid != 0) line.number("host_pid", author.host_pid);
  line.text_if_any("command", author.command);
  line.text_if_any("file", author.path);
  line.text_if_any("via", author.via);
}

Author author_of(const json::Value& line) {
  Author author;
  if (const json::Array* by = line["by"].array()) {
    for (const json::Value& pid : *by) {
      author.lineage.push_back({static_cast<std::uint64_t>(pid.number())});
    }
  }
  author.user = line["user"].text();
  author.host_pid = line["host_pid"].number();
  author.command = line["command"].text();
  author.path = line["file"].text();
  author.via = line["via"].text();
  return author;
}

}  // namespace

void write_time(json::ObjectWriter& line, std::int64_t wall, unsigned digits) {
  std::string& out = line.member("time");
  out += '"';
  append_timestamp(out, wall, digits);
  out += '"';
}

void write_lineage(json::ObjectWriter& line, const Author& author) {
  std::string& out = line.member("by");
  out += '[';
  for (const ProcessId pid : author.lineage) {
    if (out.back() != '[') out += ',';
    json::append_number(out, static_cast<std::int64_t>(pid.value));
  }
  out += ']';
}

std::string encode_record(const Record& record, const std::string& previous_hash,
                          std::string& hash_out) {
  std::string line;
  line.reserve(512);
  json::ObjectWriter members(line);
  members.number("seq", static_cast<std::int64_t>(record.sequence.value));
  write_time(members, record.time, 9);  // every nanosecond, so that a replay sees the same time
  members.text("kind", record.kind);
  write_author(members, record.author);
  const json::Object* data = record.data.object();
  if (!record.data.is_null() && (data == nullptr || !data->empty())) {
    json::append(members.member("data"), record.data);
  }
  line.append(kPrevious).append(previous_hash).append("\"");
  hash_out = blake2b(line);
  line.append(kHash).append(hash_out).append("\"}");
  return line;
}

Result<Record> decode_record(std::string_view line, std::string& previous_hash_out,
                             std::string& hash_out) {
  const auto refuse = [&](std::string_view reason) {
    return fail(EBADMSG, "journal: {} ({})", reason, text::shown(line));
  };
  if (line.size() < kHashTail + kPreviousTail || !line.ends_with("\"}")) {
    return refuse("a line is no record");
  }
  const std::string_view hashed = line.substr(0, line.size() - kHashTail);
  const std::string_view tail = line.substr(hashed.size());
  const std::string_view previous = hashed.substr(hashed.size() - kPreviousTail);
  if (!tail.starts_with(kHash) || !previous.starts_with(kPrevious)) {
    return refuse("a line has no hash at its end");
  }
  const std::string_view hash = tail.substr(kHash.size(), kHashDigits);
  if (blake2b(hashed) != hash) return refuse("the hash of a record is wrong");
  const json::Value value = TRY(json::parse(line));
  Record record;
  const std::int64_t sequence = value["seq"].number();
  const auto time = parse_timestamp(value["time"].text());
  record.kind = value["kind"].text();
  if (sequence <= 0 || !time || record.kind.empty()) {
    return refuse("a record lacks its number, time or kind");
  }
  record.sequence = {static_cast<std::uint64_t>(sequence)};
  record.time = *time;
  record.author = author_of(value);
  record.data = value["data"];
  previous_hash_out = previous.substr(kPrevious.size(), kHashDigits);
  hash_out = hash;
  return record;
}

}  // namespace agentfs
