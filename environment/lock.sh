#!/usr/bin/env bash
# Resolves requirements.in afresh and writes requirements.lock.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3.11}" -m venv "$scratch/env"
"$scratch/env/bin/pip" install --quiet pip==25.2
"$scratch/env/bin/pip" install --quiet -r "$here/requirements.in"
{
  echo "# Every package of the environment, pinned. Made from requirements.in by \`make lock\`; do not edit."
  echo "# Horovod is not here: environment/build.sh compiles it against these."
  # A local tag such as torch's +cpu names one build of a version; the lock names the version.
  "$scratch/env/bin/pip" freeze --all | grep -viE '^pip==' | sed -E 's/\+[a-z0-9.]+$//'
} >"$here/requirements.lock"
