#!/usr/bin/env bash
# Resolves build.in, each stack's requirements.in and that of docs/site afresh and writes their locks: every package pinned,
# with the hash of every file of it that pip may take. STACK=NAME resolves that stack alone. pip's own settings hold: PIP_CONSTRAINT=FILE
# keeps the versions that FILE names.
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
pinned "$here/build.in" >"$scratch/build"
write build.lock "$scratch/build" "pip, which installs the environments, and Horovod's sources, from build.in."
# Beside CUDA's builds of torch and TensorFlow stand CUDA's libraries: what each needs that `all` has not. `===` takes
# torch's plain build, which is for CUDA on Linux, where a place of pip's settings offers +cpu too.
beyond() { resolved --constraint "$scratch/all" "$1" | grep -vxFf "$scratch/all"; }
for stack in ${STACK:-current spark35}; do
  resolved -r "$here/$stack/requirements.in" >"$scratch/all"
  beyond "$(sed -n 's/^torch==/torch===/p' "$scratch/all")" >"$scratch/torch"
  beyond "$(sed -nE 's/^tensorflow[-_]cpu==/tensorflow[and-cuda]==/p' "$scratch/all")" >"$scratch/tensorflow"
  write "$stack/requirements.lock" "$scratch/all" \
    "Every package of the environment, pinned, from requirements.in, with the hashes of its files." \
    "Horovod is not here: environment/build.sh compiles it against these, from build.lock."
  write "$stack/torch-cuda.lock" "$scratch/torch" "What torch needs beside requirements.lock where pip takes its build for CUDA."
  write "$stack/tensorflow-cuda.lock" "$scratch/tensorflow" \
    "For GPU=1: TensorFlow in tensorflow-cpu's place, and CUDA's libraries for it."
done
if [[ -z ${STACK:-} ]]; then
  resolved -r "$here/../docs/site/requirements.in" >"$scratch/site"
  write ../docs/site/requirements.lock "$scratch/site" \
    "Every package that builds the pages as a site, pinned, from requirements.in, with the hashes of its files."
fi
