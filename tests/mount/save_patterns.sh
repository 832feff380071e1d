#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# How editors and tools save: in place, and by temporary file and rename; on control files, settings
# and documents, and beside plain files.
# shellcheck disable=SC2012,SC2015,SC2016  # inner shells expand; fail is meant to run for either
. "$(dirname "$0")/lib.sh"
need python3 sed setsid

pid=$(spawn name=saved) || exit 1
process=$MNT/proc/$pid
models=$MNT/etc/models
errors() { tail -n 1 "$MNT/proc/self/errors"; }
scenario=$TESTDIR/scenario.json
echo '{"tasks": [{"match": "*", "steps": [{"text": "Done."}]}]}' >"$scenario"
document() { printf 'driver = "script"\nscenario = "%s"\ncontext_tokens = %s\n' "$scenario" "$1"; }
expect_tokens() {
  expect_has "$(cat "$MNT/dev/llm/x/info")" "\"context_tokens\": $1," "the model in force"
}
expect_names() { expect_eq "$(ls -A "$1" | tr '\n' ' ')" "$2 " "names in ${1#"$MNT"}"; }
# The two ways, in python: an error of open, write, close or rename ends them.
in_place() {
  python3 -c 'import sys; f = open(sys.argv[1], "w"); f.write(sys.argv[2]); f.close()' "$@"
}
by_rename() {
  python3 -c 'import os, sys
name = os.path.join(os.path.dirname(sys.argv[1]), sys.argv[3])
with open(name, "w") as f:
    f.write(sys.argv[2]); f.flush(); os.fsync(f.fileno())
os.replace(name, sys.argv[1])' "$1" "$2" "${3:-.save.tmp.$$.a1b2}"
}

step "control files"
expect_ok in_place "$process/ctl" $'nice 1\nnice 2\n'
expect_eq "$(cat "$process/priority")" 2
expect_ok by_rename "$process/ctl" $'nice 3\nnice 4\n'
expect_eq "$(cat "$process/priority")" 4
expect_ok by_rename "$process/ctl" 'nice 5' "ctl.tmp.812.0c7e"
expect_eq "$(cat "$process/priority")" 5 "priority after a text without a newline"
expect_errno EINVAL by_rename "$process/ctl" $'nice 6\nfrobnicate\nnice 7\n'
expect_eq "$(cat "$process/priority")" 6 "priority after a stop at the second line"
expect_errno EINVAL in_place "$process/ctl" $'frobnicate\n'
expect_has "$(errors)" "frobnicate: no such verb"
rm "$process/.save.tmp".* || fail "the name of the rename that failed"

step "settings"
expect_ok in_place "$process/name" $'placed\n'
expect_eq "$(cat "$process/name")" placed
expect_ok by_rename "$process/name" $'renamed\n' name.tmp
expect_eq "$(cat "$process/name")" renamed
expect_errno EINVAL by_rename "$process/priority" $'high\n' priority.tmp
expect_eq "$(cat "$process/priority")" 6
rm "$process/priority.tmp"
sed -i 's/renamed/streamed/' "$process/name" || fail "sed -i: $(errors)"
expect_eq "$(cat "$process/name")" streamed
[[ $(ls -A "$process") == *sed* ]] && fail "sed's temporary file is left: $(ls -A "$process")"

step "a request by rename"
expect_ok by_rename "$MNT/dev/local/exec" 'echo by rename'
expect_has "$(cat "$MNT/dev/local/exec")" "by rename"

step "documents, in place"
expect_ok in_place "$models/x.toml" "$(document 1001)"
expect_tokens 1001
expect_errno EBADMSG in_place "$models/x.toml" 'driver = '
expect_has "$(errors)" "EBADMSG	/etc/models/x.toml	" "the error"
expect_eq "$(cat "$models/x.toml")" "$(document 1001)" "the document after a refusal"
expect_tokens 1001

step "documents, by rename"
expect_ok by_rename "$models/x.toml" "$(document 1002)"
expect_tokens 1002
expect_ok by_rename "$models/x.toml" "$(document 1003)" x.toml.tmp.77.9f3a
expect_tokens 1003
expect_errno EBADMSG by_rename "$models/x.toml" 'driver = ' .x.toml.tmp
expect_tokens 1003
rm "$models/.x.toml.tmp"
expect_errno EBADMSG by_rename "$models/y.toml" 'driver = ' .y.toml.tmp
[[ $(ls "$MNT/dev/llm") == *y* ]] && fail "a refused document is a model"
document 1004 >"$models/.y.toml.tmp" || fail "the text mended where it was: $(errors)"
mv "$models/.y.toml.tmp" "$models/y.toml" || fail "the mended text, renamed: $(errors)"
expect_has "$(cat "$MNT/dev/llm/y/info")" 1004
rm "$models/y.toml"
expect_names "$models" "README x.toml"

step "a new document, refused and mended"
expect_errno EBADMSG in_place "$models/z.toml" 'driver = "script"'
echo "scenario = \"$scenario\"" >"$TESTDIR/line"
{ echo; cat "$TESTDIR/line"; } >>"$models/z.toml" || fail "appending the rest: $(errors)"
expect_has "$(cat "$MNT/dev/llm/z/info")" "$scenario"
rm "$models/z.toml"
echo 'driver = "script"' >"$models/z.toml"
[[ $(ls "$models") == *z.toml* ]] && fail "a refused document is listed"
echo "scenario = \"$scenario\"" >>"$models/z.toml"
expect_has "$(cat "$MNT/dev/llm/z/info")" "$scenario" "a document written by two echos"
mv "$models/z.toml" "$models/other.toml" || fail "mv of a document: $(errors)"
expect_names "$MNT/dev/llm" "README default other x"
rm "$models/other.toml"
expect_names "$models" "README x.toml"

step "sed -i and perl -i on documents"
sed -i 's/1003/1005/' "$models/x.toml" || fail "sed -i: $(errors)"
expect_tokens 1005
output=$(sed -i 's/driver.*/driver = /' "$models/x.toml" 2>&1) && fail "sed -i of an invalid text"
expect_has "$output" "Bad message"
expect_tokens 1005
if command -v perl >/dev/null; then
  perl -i -pe 's/1005/1006/' "$models/x.toml" || fail "perl -i: $(errors)"
  expect_tokens 1006
  sed -i 's/1006/1005/' "$models/x.toml" || fail "sed -i after perl -i: $(errors)"
fi
rm -f "$models"/sed??????
expect_names "$models" "README x.toml"

step "nano: a lock, then in place"
echo lock >"$models/.x.toml.swp" || fail "nano's lock"
document 1007 >"$models/x.toml"
rm "$models/.x.toml.swp"
expect_tokens 1007

step "emacs: a dangling link as lock, a backup, then in place"
ln -s "user@host.812:1700000000" "$models/.#x.toml" || fail "emacs' lock"
expect_eq "$(readlink "$models/.#x.toml")" "user@host.812:1700000000"
cp "$models/x.toml" "$models/x.toml~" || fail "emacs' backup"
document 1008 >"$models/x.toml"
rm "$models/.#x.toml" "$models/x.toml~" || fail "emacs' cleaning up"
expect_tokens 1008

step "vim"
vim_save() {
  vim -u NONE -N -i NONE -es -c "set backup writebackup $3" -c "$2" -c wq "$1" </dev/null
}
if command -v vim >/dev/null; then
  for how in backupcopy=auto backupcopy=yes backupcopy=no; do
    in_place "$models/x.toml" "$(document 1010)"$'\n' || fail "the text before vim"
    vim_save "$models/x.toml" '%s/1010/1011/' "$how" || fail "vim, $how: $(errors)"
    expect_tokens 1011
    rm -f "$models/x.toml~"
    vim_save "$process/priority" '%s/.*/12/' "$how" || fail "vim, a setting, $how: $(errors)"
    expect_eq "$(cat "$process/priority")" 12 "a setting saved by vim, $how"
    in_place "$process/priority" $'6\n' || fail "the setting before vim"
    vim_save "$process/ctl" '$put =\"nice 13\"' "$how" ||
      fail "vim, a control file, $how: $(errors)"
    expect_eq "$(cat "$process/priority")" 13 "a command added by vim, $how"
    rm -f "$process"/*~
  done
  expect_names "$models" "README x.toml"
fi

step "temporary names are the maker's alone"
echo mine >"$process/.mine.tmp" || fail "a temporary name"
expect_eq "$(cat "$process/.mine.tmp")" mine
setsid -w test -e "$process/.mine.tmp" && fail "another session sees .mine.tmp"
[[ $(setsid -w ls -A "$process") == *mine* ]] && fail "another session lists .mine.tmp"
setsid -w bash -c 'echo theirs >"$1"; cat "$1"' - "$process/.mine.tmp" >"$TESTDIR/theirs" ||
  fail "the same name in another session"
expect_eq "$(cat "$TESTDIR/theirs" "$process/.mine.tmp" | tr '\n' ' ')" "theirs mine "
mv "$process/.mine.tmp" "$process/.other.tmp" && rm "$process/.other.tmp" || fail "mv and rm"
expect_errno EPERM mkdir "$process/directory"
expect_errno EPERM ln -s target "$process/link"

step "appends to a document, truncate and touch"
notes=$process/context.d/notes.md
append() { for ((i = 0; i < 20; ++i)); do echo "$1$i" >>"$notes" || return 1; done; }
echo start >"$notes"
append x & append y || fail "an append"
wait $! || fail "an append beside it"
expect_eq "$(sort -u "$notes" | wc -l)" 41 "lines of two that append"
expect_errno ESTALE python3 -c 'import os, subprocess, sys
f = os.open(sys.argv[1], os.O_RDWR)
subprocess.run(["sh", "-c", "echo another >>\"$0\"", sys.argv[1]], check=True)
os.write(f, b"mine"); os.close(f)' "$notes"
expect_has "$(errors)" "another has saved it"
expect_eq "$(tail -n 1 "$notes")" another
expect_ok python3 -c 'import os, sys; os.truncate(sys.argv[1], 6)' "$notes"
expect_eq "$(cat "$notes")" start "a document that was cut"
: >"$notes"
touch "$process/context.d/new.md" || fail "touch"
wait_until 5 test -e "$process/context.d/new.md"
wait_until 5 test ! -s "$notes"
rm "$notes" "$process/context.d/new.md"

step "in workspaces"
w=$MNT/workspaces/w
mkdir "$w" && echo one >"$w/file" || fail "a workspace"
expect_ok in_place "$w/file" two
expect_eq "$(cat "$w/file")" two
expect_ok by_rename "$w/file" three
expect_eq "$(cat "$w/file")" three
sed -i 's/three/four/' "$w/file" || fail "sed -i"
expect_eq "$(cat "$w/file")" four
ln -s "user@host.812:1700000000" "$w/.#file" && rm "$w/.#file" || fail "emacs' lock"
if command -v vim >/dev/null; then
  for how in backupcopy=auto backupcopy=yes backupcopy=no; do
    chmod 0751 "$w/file"
    vim_save "$w/file" '%s/.*/by vim/' "$how" || fail "vim, $how"
    expect_eq "$(cat "$w/file") $(stat -c %a "$w/file")" "by vim 751" "saved by vim, $how"
    rm -f "$w/file~"
  done
fi
expect_names "$w" file
