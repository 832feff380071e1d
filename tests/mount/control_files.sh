#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What shells and their tools do to control files: errors, lines in pieces, replies, sessions.
# shellcheck disable=SC2012,SC2015,SC2016  # inner shells expand; fail is meant to run for either
. "$(dirname "$0")/lib.sh"
need python3 dd setsid

pid=$(spawn name=subject) || exit 1
ctl=$MNT/proc/$pid/ctl
priority=$MNT/proc/$pid/priority
errors() { tail -n "${1:-1}" "$MNT/proc/self/errors"; }

step "errors of write(2) reach every tool"
cat >"$TESTDIR/writes.py" <<'END'
import pathlib, sys
pathlib.Path(sys.argv[1]).write_text("frobnicate\n")
END
for tool in 'echo frobnicate >"$1"' 'printf "frobnicate\n" >"$1"' 'echo frobnicate >>"$1"' \
  'echo frobnicate | dd of="$1" conv=notrunc' 'echo frobnicate | dd of="$1"' \
  'echo frobnicate | tee "$1" >/dev/null' 'echo frobnicate | cat >"$1"' \
  'python3 "$TESTDIR/writes.py" "$1"'; do
  expect_errno EINVAL bash -c "$tool" - "$ctl"
done
expect_has "$(errors)" "frobnicate: no such verb; cancel, cont," "the sentence"
expect_has "$(errors)" "EINVAL	/proc/$pid/ctl	" "errno and file of the sentence"

step "dash and node"
if command -v dash >/dev/null; then
  # Its message is the same for every errno.
  for word in echo 'printf %s\\n'; do
    dash -c "$word dashed"' >"$1"' - "$ctl" 2>/dev/null && fail "dash: succeeded; wanted a failure"
    expect_has "$(errors)" "EINVAL	/proc/$pid/ctl	dashed" "the error of dash"
  done
fi
if command -v node >/dev/null; then
  output=$(node -e 'require("fs").writeFileSync(process.argv[1], "frobnicate\n")' "$ctl" 2>&1) &&
    fail "node: succeeded; wanted EINVAL"
  expect_has "$output" EINVAL "the exception of node"
fi

step "a line in several writes"
exec 3>"$ctl"
printf 'ni' >&3 && printf 'ce ' >&3 && printf '7\n' >&3 || fail "a piece was refused: $(errors)"
expect_eq "$(cat "$priority")" 7 "priority, the descriptor still open"
printf 'nice 8\n' >&3 || fail "a second command on the same descriptor"
expect_eq "$(cat "$priority")" 8
printf 'frobnicate\n' >&3 2>/dev/null && fail "an unknown verb was taken"
printf 'nice 9\n' >&3 || fail "a command after one that failed: $(errors)"
exec 3>&-
expect_eq "$(cat "$priority")" 9

step "several lines"
printf 'nice 1\nnice 2\n' >"$ctl" || fail "printf of two lines"
expect_eq "$(cat "$priority")" 2
printf 'nice 3\nfrobnicate\nnice 4\n' | expect_errno EINVAL dd of="$ctl" bs=1M iflag=fullblock
expect_eq "$(cat "$priority")" 3 "priority after a stop at the second line"
printf '# a comment\n\n  \nnice 5\n' | expect_ok dd of="$ctl" bs=1M iflag=fullblock
expect_eq "$(cat "$priority")" 5 "priority after comments and empty lines"

step "5,000 bytes of echo, which arrive in pieces"
text=$(head -c 5000 /dev/zero | tr '\0' x)
echo "deadline $text" >"$ctl" 2>/dev/null && fail "a deadline of 5,000 x was taken"
expect_has "$(errors)" "EINVAL	/proc/$pid/ctl	" "one command, one error"
[[ $(errors 2 | head -n 1) == *"xxxx"* ]] && fail "the pieces were taken for two commands"

step "too long"
head -c 65537 /dev/zero | tr '\0' x >"$TESTDIR/long"
expect_errno EMSGSIZE dd if="$TESTDIR/long" of="$ctl" bs=1M
expect_has "$(errors)" "65536" "the sentence names the limit"
expect_errno EMSGSIZE bash -c 'echo "$(head -c 1048576 /dev/zero | tr "\0" x)" >"$1"' - "$ctl"
head -c 1048576 /dev/zero | tr '\0' x >"$TESTDIR/longer"
expect_errno EMSGSIZE cp "$TESTDIR/longer" "$ctl"
{ head -c 65530 /dev/zero | tr '\0' '#'; echo; } >"$TESTDIR/fits"
expect_ok dd if="$TESTDIR/fits" of="$ctl" bs=1M

step "NUL and invalid UTF-8"
expect_errno EINVAL bash -c 'printf "nice\0 3\n" >"$1"' - "$ctl"
expect_has "$(errors)" NUL
expect_errno EINVAL bash -c 'printf "send caf\xe9\n" >"$1"' - "$ctl"
expect_has "$(errors)" UTF-8
expect_eq "$(cat "$priority")" 5 "priority after what was refused"

step "no newline at the end"
printf 'nice 6' >"$ctl" || fail "an unterminated line at close: $(errors)"
expect_eq "$(cat "$priority")" 6 "priority after an unterminated line"
exec 3<>"$ctl"
printf 'nice 11' >&3
exec 3>&-
expect_eq "$(cat "$priority")" 6 "priority after an unterminated line on a descriptor for both"
dropped() { errors | grep -q 'nice 11.*newline'; }
wait_until 5 dropped

step "a child that dies with the descriptor"
exec 3>"$ctl"
printf 'nice 1' >&3
(exec true)
bash -c 'exit 3'
bash -c 'kill -9 $$' &
wait $! 2>/dev/null
expect_eq "$(cat "$priority")" 6 "priority in the middle of a line"
printf '2\n' >&3 || fail "the rest of the line: $(errors)"
exec 3>&-
expect_eq "$(cat "$priority")" 12 "priority after the whole line"

step "replies on one descriptor, bash"
exec 3<>"$MNT/dev/local/exec"
echo 'echo one; echo two; echo three' >&3 || fail "exec: $(errors)"
read -r a <&3 && read -r b <&3 && read -r c <&3 && read -r d <&3 || fail "four lines of reply"
expect_eq "$a $b $c" "one two three"
expect_has "$d" "# exit=0"
read -r e <&3 && fail "read past the reply: '$e'"
echo 'echo four' >&3
read -r a <&3
expect_eq "$a" four "the reply of the second command"
exec 3>&-

step "replies on one descriptor, dash"
if command -v dash >/dev/null; then
  expect_eq "$(dash -c 'exec 3<>"$1"; echo "echo one; echo two" >&3; read a <&3; read b <&3
    echo "$a $b"' - "$MNT/dev/local/exec")" "one two"
fi

step "a reply outlives a failed write"
exec 3<>"$MNT/proc/clone"
echo name=outlives >&3
printf 'frobnicate=1\n' >&3 2>/dev/null && fail "an unknown key was taken"
read -r first <&3
[[ $first =~ ^[0-9]+$ ]] || fail "the pid after a failed write: '$first'"
exec 3>&-
expect_eq "$(cat "$MNT/proc/$first/name")" outlives

step "clone from a shell that opens afresh"
echo name=fixer >"$MNT/proc/clone" || fail "clone: $(errors)"
expect_eq "$(cat "$MNT/proc/$(cat "$MNT/proc/clone")/name")" fixer

step "each session has its own last reply"
mkfifo "$TESTDIR/go"
setsid -w bash -c 'echo name=left >"$1"; echo ready; read -r <"$2"; cat "$1"' - \
  "$MNT/proc/clone" "$TESTDIR/go" >"$TESTDIR/left" &
job=$!
wait_until 10 grep -q ready "$TESTDIR/left"
right=$(setsid -w bash -c 'echo name=right >"$1"; cat "$1"' - "$MNT/proc/clone")
echo >"$TESTDIR/go"
wait "$job" || fail "the left session"
left=$(tail -n 1 "$TESTDIR/left")
expect_eq "$(cat "$MNT/proc/$left/name")" left "the name of what the left session made"
expect_eq "$(cat "$MNT/proc/$right/name")" right "the name of what the right session made"
expect_eq "$(cat "$MNT/proc/$(cat "$MNT/proc/clone")/name")" fixer "this session's own"

step "NAME@TAG is a slot of the caller's choosing"
setsid -w bash -c 'echo name=tagged >"$1"' - "$MNT/proc/clone@mine" || fail "clone@mine: $(errors)"
tagged=$(setsid -w cat "$MNT/proc/clone@mine")
expect_eq "$(cat "$MNT/proc/$tagged/name")" tagged
expect_eq "$(cat "$MNT/proc/$(cat "$MNT/proc/clone")/name")" fixer "the slot without a tag"
[[ $(ls "$MNT/proc") == *@* ]] && fail "a tagged name is listed"

step "what was read can be written back"
head_before=$(cat "$MNT/sys/journal/head")
for file in "$ctl" "$MNT/proc/clone" "$MNT/dev/local/exec"; do
  cat "$file" >"$TESTDIR/copy"
  cat "$TESTDIR/copy" >"$file" || fail "$file, written back: $(errors)"
done
expect_eq "$(cat "$MNT/sys/journal/head")" "$head_before" "the journal's head"
