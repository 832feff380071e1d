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

// "2026-01-31T12:34:56.789012345Z": every nanosecond, so that a replay sees the same time.
void append_time(std::string& out, std::int64_t wall) {
  thread_local std::time_t cached_second = -1;
  thread_local std::string cached;
  std::time_t second = wall / 1'000'000'000;
  std::int64_t rest = wall % 1'000'000'000;
  if (rest < 0) {
    rest += 1'000'000'000;
    --second;
  }
  if (second != cached_second || cached.empty()) {
    std::tm utc{};
    ::gmtime_r(&second, &utc);
    cached = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", utc.tm_year + 1900, utc.tm_mon + 1,
                         utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
    cached_second = second;
  }
  fmt::format_to(std::back_inserter(out), "{}.{:09}Z", cached, rest);
}

void append_member(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  fmt::format_to(std::back_inserter(out), ",\"{}\":", name);
  json::append_quoted(out, value);
}

void append_author(std::string& out, const Author& author) {
  if (!author.lineage.empty()) {
    out += ",\"by\":[";
    for (const ProcessId pid : author.lineage) {
      fmt::format_to(std::back_inserter(out), "{},", pid.value);
    }
    out.back() = ']';
  }
  append_member(out, "user", author.user);
  if (author.host_pid != 0) {
    fmt::format_to(std::back_inserter(out), ",\"host_pid\":{}", author.host_pid);
  }
  append_member(out, "command", author.command);
  append_member(out, "file", author.path);
  append_member(out, "via", author.via);
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

std::string encode_record(const Record& record, const std::string& previous_hash,
                          std::string& hash_out) {
  std::string line;
  line.reserve(512);
  fmt::format_to(std::back_inserter(line), "{{\"seq\":{},\"time\":\"", record.sequence.value);
  append_time(line, record.time);
  line += "\",\"kind\":";
  json::append_quoted(line, record.kind);
  append_author(line, record.author);
  const json::Object* members = record.data.object();
  if (!record.data.is_null() && (members == nullptr || !members->empty())) {
    line += ",\"data\":";
    line += json::dump(record.data);
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
