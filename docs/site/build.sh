#!/usr/bin/env bash
# Builds the pages as a site, strictly, into a folder: docs/site/build.sh OUT. What builds them is installed once, from
# requirements.lock and apart from the package's environment.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${ASLSPARK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aslspark}
python=${PYTHON:-python3.11}
env=$cache/site-$( { cat "$here/requirements.lock"; "$python" --version; } | sha256sum | cut -c1-16)
if [[ ! -x $env/bin/mkdocs ]]; then
  rm -rf "$env"
  "$python" -m venv "$env"
  "$env/bin/pip" install --quiet --require-hashes --no-deps -r "$here/requirements.lock" || { rm -rf "$env"; exit 1; }
fi
out=$(realpath -m "$1")
cd "$here/../.."
# Without --quiet, under which warnings are not counted, and --strict lets them pass.
said=$(NO_MKDOCS_2_WARNING=1 "$env/bin/mkdocs" build --strict --site-dir "$out" 2>&1) || { echo "$said" >&2; exit 1; }
echo "$out/index.html: the pages; python3 -m http.server --directory $1 serves them, with their search"
