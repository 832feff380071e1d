# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Written by scripts/gen-docs from `agentfs --help`.
_agentfs() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=
  local index
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; ++index)); do
    case ${COMP_WORDS[index]} in
      mount | umount | doctor | fsck)
        command=${COMP_WORDS[index]}
        break
        ;;
    esac
  done
  case $command:$previous in
    :--dump-tree)
      return
      ;;
    mount:--state)
      mapfile -t COMPREPLY < <(compgen -d -- "$word")
      return
      ;;
    mount:-o)
      return
      ;;
    mount:--hang-seconds)
      return
      ;;
    doctor:--state)
      mapfile -t COMPREPLY < <(compgen -d -- "$word")
      return
      ;;
    fsck:--state)
      mapfile -t COMPREPLY < <(compgen -d -- "$word")
      return
      ;;
  esac
  case $command in
    mount)
      mapfile -t COMPREPLY < <(compgen -W '-h --help --state -f --foreground -o --hang-seconds' -- "$word")
      [[ $word == -* ]] || mapfile -t COMPREPLY < <(compgen -d -- "$word")
      ;;
    umount)
      mapfile -t COMPREPLY < <(compgen -W '-h --help -l --lazy' -- "$word")
      [[ $word == -* ]] || mapfile -t COMPREPLY < <(compgen -d -- "$word")
      ;;
    doctor)
      mapfile -t COMPREPLY < <(compgen -W '-h --help --state' -- "$word")
      ;;
    fsck)
      mapfile -t COMPREPLY < <(compgen -W '-h --help --state --repair --solidify --rehash' -- "$word")
      ;;
    *)
      mapfile -t COMPREPLY < <(compgen -W 'mount umount doctor fsck -h --help --version --dump-tree' -- "$word")
      ;;
  esac
}
complete -o filenames -F _agentfs agentfs
