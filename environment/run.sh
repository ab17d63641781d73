#!/usr/bin/env bash
# build.sh, with a word while it works: on a terminal a line that renews itself, elsewhere one every ten seconds. Its
# standard output, where the environment is, stays as it was. (This is no part of build.sh, whose bytes are in the
# environment's name: another line there would have everybody build anew.)
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

show() {
  local line doing="environment" said=$SECONDS spent
  while true; do
    if IFS= read -r -t 1 line; then
      [ -t 1 ] && printf '\r\033[K'
      printf '%s\n' "$line"
      doing=$line said=$SECONDS
    elif [ $? -le 128 ]; then  # its end, and no second in which it said nothing
      break
    else
      printf -v spent '%d:%02d' $(((SECONDS - said) / 60)) $(((SECONDS - said) % 60))
      if [ -t 1 ]; then
        printf '\r\033[K%s, %s' "$doing" "$spent"
      elif (((SECONDS - said) % 10 == 0)); then
        printf '%s, %s\n' "$doing" "$spent"
      fi
    fi
  done
  [ -t 1 ] && printf '\r\033[K'
  return 0
}

{ "$here/build.sh" 2>&1 >&3 3>&- | show >&2; } 3>&1
