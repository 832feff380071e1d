# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the scripts of tests/mount share. Each begins with:
#   #!/usr/bin/env bash
#   # SPDX-License-Identifier: MIT
#   # What it shows, in a sentence.
#   . "$(dirname "$0")/lib.sh"
# scripts/run-mount-tests gives MNT, STATE, AGENTFS, TESTDIR and TESTS. The first check that does
# not hold ends the script; `step` names what is being shown, and is told with the failure.
set -uo pipefail
: "${MNT:?run me by scripts/run-mount-tests}" "${STATE:?}" "${AGENTFS:?}" "${TESTDIR:?}"

current_step="start"
step() { current_step=$1; }

fail() {
  printf '%s: %s\n  at %s\n' "$current_step" "$*" "$(caller_line)" >&2
  exit 1
}

# The line of the script, not of this file, that was being run.
caller_line() {
  local depth
  for ((depth = 1; depth < ${#BASH_SOURCE[@]}; ++depth)); do
    [[ ${BASH_SOURCE[depth]} == *lib.sh ]] && continue
    printf '%s:%s\n' "${BASH_SOURCE[depth]##*/}" "${BASH_LINENO[depth - 1]}"
    return
  done
}

skip() {
  printf '%s\n' "$*"
  exit 77
}

# need PROGRAM...: skips where one is not installed.
need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || skip "$program is not installed"
  done
}

# expect_eq SEEN WANTED [WHAT]
expect_eq() {
  [[ $1 == "$2" ]] || fail "${3:-value}: saw '$1'; wanted '$2'"
}

# expect_has TEXT PIECE [WHAT]
expect_has() {
  [[ $1 == *"$2"* ]] || fail "${3:-text}: saw '$1'; wanted it to hold '$2'"
}

# expect_ok COMMAND...: it ends with 0.
expect_ok() {
  local output
  output=$("$@" 2>&1) || fail "$*: exit $?: $output"
}

# expect_errno NAME COMMAND...: it fails, and says what strerror says for NAME.
expect_errno() {
  local name=$1 output
  shift
  output=$(LC_ALL=C "$@" 2>&1) && fail "$*: succeeded; wanted $name"
  [[ $output == *"$(errno_text "$name")"* ]] || fail "$*: saw '$output'; wanted $name"
}

errno_text() {
  python3 -c 'import errno, os, sys; print(os.strerror(getattr(errno, sys.argv[1])))' "$1"
}

# expect_refused NAME TEXT FILE: writing the text to the file fails with NAME.
expect_refused() {
  # shellcheck disable=SC2016  # expanded by the inner shell
  expect_errno "$1" bash -c 'printf "%s" "$1" >"$2"' - "$2"$'\n' "$3"
}

# wait_until SECONDS COMMAND...: until it ends with 0; fails after that long.
wait_until() {
  local limit=$1 deadline pause
  shift
  deadline=$((SECONDS + limit))
  exec {pause}<> <(:)
  until "$@" >/dev/null 2>&1; do
    ((SECONDS <= deadline)) || fail "$*: not within $limit s"
    read -rt 0.02 -u "$pause"
  done
  exec {pause}>&-
}

# is FILE TEXT: the file reads as this text. For wait_until.
is() { [[ $(cat "$1") == "$2" ]]; }

# within SECONDS COMMAND...: runs it, fails when it takes longer.
within() {
  local limit=$1 code
  shift
  timeout --kill-after=5 "$limit" "$@"
  code=$?
  ((code != 124 && code != 137)) || fail "$*: did not end within $limit s"
  return "$code"
}

# spawn [WORD=VALUE...]: makes a process by /proc/clone and prints its pid.
#   pid=$(spawn name=fixer model=script) || exit 1
spawn() {
  local pid
  exec {clone}<>"$MNT/proc/clone" || fail "proc/clone does not open"
  printf '%s\n' "$*" >&"$clone" || fail "spawn $*: $(tail -n 1 "$MNT/proc/self/errors")"
  read -r pid <&"$clone"
  exec {clone}>&-
  [[ $pid =~ ^[0-9]+$ ]] || fail "spawn $*: saw '$pid'; wanted a pid"
  printf '%s\n' "$pid"
}

# script_model NAME: /etc/models/NAME plays the scenario read from stdin.
script_model() {
  cat >"$TESTDIR/$1.json" || fail "scenario $1"
  printf 'driver = "script"\nscenario = "%s"\n' "$TESTDIR/$1.json" >"$MNT/etc/models/$1.toml" ||
    fail "etc/models/$1.toml: $(tail -n 1 "$MNT/proc/self/errors")"
}

# The pid of the daemon, and again after it was started anew.
daemon_pid() { cat "$STATE/daemon.pid"; }
mount_answers() { [[ -r $MNT/README ]] && [[ -s $MNT/sys/kernel/pid ]]; }
