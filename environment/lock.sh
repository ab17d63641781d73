#!/usr/bin/env bash
# Resolves requirements.in and build.in afresh and writes the four locks: every package pinned, with the hash of every file
# of it that pip may take. pip's own settings hold: PIP_CONSTRAINT=FILE keeps the versions that FILE names.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
pinned() { sed -nE 's/^([A-Za-z0-9._-]+==[^ ]+).*/\1/p' "$1"; }  # of a file of requirements

"${PYTHON:-python3.11}" -m venv "$scratch/env"
"$scratch/env/bin/pip" install --quiet --quiet "$(pinned "$here/build.in" | grep '^pip==')" pip-tools==7.6.2

# What pip would install, a NAME==VERSION a line. A local tag such as torch's +cpu names one build of a version; the lock
# names the version. pip itself, which some ask for, stands in build.lock.
resolved() {
  "$scratch/env/bin/pip" install --quiet --quiet --dry-run --ignore-installed --report "$scratch/report.json" "$@"
  "$scratch/env/bin/python" - "$scratch/report.json" <<'PYTHON' | grep -v '^pip==' | sort --ignore-case
import json
import sys

for package in json.load(open(sys.argv[1]))["install"]:
    print(package["metadata"]["name"] + "==" + package["metadata"]["version"].split("+")[0])
PYTHON
}

write() {  # FILE PINS COMMENT...
  local file=$1 pins=$2
  shift 2
  { printf '# %s\n' "$@" "Made by \`make lock\`; do not edit."; "$scratch/env/bin/python" "$here/hashes.py" <"$pins"; } \
    >"$scratch/written"
  cp "$scratch/written" "$here/$file"
}

export LC_ALL=C
resolved -r "$here/requirements.in" >"$scratch/all"
pinned "$here/build.in" >"$scratch/build"
# Beside CUDA's builds of torch and TensorFlow stand CUDA's libraries: what each needs that `all` has not. `===` takes
# torch's plain build, which is for CUDA on Linux, where a place of pip's settings offers +cpu too.
beyond() { resolved --constraint "$scratch/all" "$1" | grep -vxFf "$scratch/all"; }
beyond "$(sed -n 's/^torch==/torch===/p' "$scratch/all")" >"$scratch/torch"
beyond "$(sed -n 's/^tensorflow-cpu==/tensorflow[and-cuda]==/p' "$scratch/all")" >"$scratch/tensorflow"

write requirements.lock "$scratch/all" "Every package of the environment, pinned, from requirements.in, with the hashes of its files." \
  "Horovod is not here: environment/build.sh compiles it against these, from build.lock."
write build.lock "$scratch/build" "pip, which installs the environment, and Horovod's sources, from build.in."
write torch-cuda.lock "$scratch/torch" "What torch needs beside requirements.lock where pip takes its build for CUDA."
write tensorflow-cuda.lock "$scratch/tensorflow" "For GPU=1: TensorFlow in tensorflow-cpu's place, and CUDA's libraries for it."
