#!/usr/bin/env bash
# Builds the environment of a stack, with the networks that find hands, and with Horovod compiled for its TensorFlow and
# torch, and prints where it is. Nothing is installed whose hash is not in a lock. The environment is kept under a name
# that holds a hash of all that it is made from, so that a second clone with the same locks finds it again.
# STACK=current is Spark 4 and Keras 3, STACK=spark35 is Spark 3.5 and Keras 2; GPU=1 builds for CUDA with NCCL.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
stack=${STACK:-current}
gpu=${GPU:-0}
python=${PYTHON:-python3.11}
command -v "$python" >/dev/null || python=python3
cache=${ASLSPARK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aslspark}

say() { echo "environment: $*" >&2; }

case $stack in
  current) javas="17 21" ;;
  spark35) javas="17 11 8" ;;
  *) say "STACK=$stack: there are current and spark35"; exit 1 ;;
esac

check_tools() {
  local missing=()
  "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
    || missing+=("Python 3.11 (found: $("$python" --version 2>/dev/null || echo none); Debian: apt-get install python3.11 python3.11-venv python3.11-dev)")
  command -v g++ >/dev/null || command -v c++ >/dev/null \
    || missing+=("a C++ compiler (Debian: apt-get install g++)")
  local cmake_version
  cmake_version=$(cmake --version 2>/dev/null | sed -n '1s/[^0-9]*//p' || true)
  [ "$(printf '%s\n3.21\n' "${cmake_version:-0}" | sort -V | head -1)" = 3.21 ] \
    || missing+=("CMake 3.21 or newer (found: ${cmake_version:-none}; Debian: apt-get install cmake)")
  local java_version
  java_version=$(java -version 2>&1 | sed -nE '1s/.*"([0-9]+).*/\1/p' || true)
  [[ " $javas " == *" ${java_version:-none} "* ]] \
    || missing+=("Java ${javas// / or } (found: ${java_version:-none}; Debian: apt-get install openjdk-17-jre-headless)")
  if [ "$gpu" = 1 ]; then
    [ -x "${HOROVOD_CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ] || command -v nvcc >/dev/null \
      || missing+=("CUDA's compiler nvcc, for GPU=1 (the CUDA toolkit and NCCL's headers; \$HOROVOD_CUDA_HOME and \$HOROVOD_NCCL_HOME say where they are)")
  fi
  if [ ${#missing[@]} -gt 0 ]; then
    for tool in "${missing[@]}"; do say "missing: $tool"; done
    exit 1
  fi
}

networks=aslspark/images/hands/make_networks.py
key=$( { cat "$here/$stack"/*.lock "$here/build.lock" "$here/horovod.cmake" "$here/../$networks" "$here/spark_classes.py" "${BASH_SOURCE[0]}"; echo "stack=$stack gpu=$gpu"; uname -m; "$python" --version || true; } 2>/dev/null \
  | sha256sum | cut -c1-16)
env=$cache/env-$stack-$key
if [ -f "$env/.complete" ]; then
  echo "$env"
  exit 0
fi

check_tools
mkdir -p "$cache"
exec 9>"$cache/build.lock"
flock 9  # two clones that start together build it once
if [ -f "$env/.complete" ]; then
  echo "$env"
  exit 0
fi

say "building $env (about five minutes on two cores)"
rm -rf "$env"
trap '[ -f "$env/.complete" ] || rm -rf "$env"' EXIT
log=$cache/build-$stack-$key.log
run() { "$@" >>"$log" 2>&1 || { tail -n 30 "$log" >&2; say "failed: $*"; say "the whole log: $log"; exit 1; }; }

: >"$log"
run "$python" -m venv "$env"
locks=$env/locks
mkdir "$locks"
cp "$here/build.lock" "$here/$stack"/*.lock "$locks"
# What is wanted of a lock, which holds a package over several lines, and each but the last of these ends in a backslash.
only() { sed -nE "/^($1)==/,/[^\\\\]\$/p" "$2"; }
# Every package stands in a lock, with those that it asks for: --no-deps takes no other, and `pip check` finds a missing one.
# Sources (pyspark's are) are built by the locked setuptools, not by one that pip would fetch for it without a hash.
install() { run "$env/bin/pip" install --require-hashes --no-deps --no-build-isolation "$@"; }
only pip "$locks/build.lock" >"$locks/pip.lock"
only 'setuptools|wheel' "$locks/requirements.lock" >"$locks/builders.lock"
only horovod "$locks/build.lock" >"$locks/horovod.lock"
only torch "$locks/requirements.lock" >"$locks/torch.lock"
if [ "$gpu" = 1 ]; then
  # TensorFlow brings CUDA 12's libraries and torch CUDA 13's, under names that differ: pip installs both.
  sed -i '/^tensorflow[-_]cpu==/,/[^\\]$/d' "$locks/requirements.lock"
  cat "$locks/tensorflow-cuda.lock" >>"$locks/requirements.lock"
fi
say "1/4 installing the packages"
install -r "$locks/pip.lock"
install -r "$locks/builders.lock"
# Which build of torch there is depends on the places of pip's settings: +cpu where one offers it, else the index's own, which
# for Linux is for CUDA. Asked for hashes, pip would take the latter for its hash that the index tells beforehand. So
# torch is fetched first, which runs nothing of it, and its hash is checked when it is installed from the folder.
run "$env/bin/pip" download --no-deps --only-binary :all: --dest "$env/fetched" \
  "$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' "$locks/torch.lock")"
install --no-index --find-links "$env/fetched" -r "$locks/torch.lock"
rm -r "$env/fetched"
install -r "$locks/requirements.lock"
if "$env/bin/pip" show torch 2>>"$log" | grep '^Requires:.*nvidia' >>"$log"; then
  install -r "$locks/torch-cuda.lock"
fi
run "$env/bin/pip" check
if [ "$gpu" = 1 ] && ! "$env/bin/python" -c 'import sys, torch; sys.exit(torch.version.cuda is None)' 2>>"$log"; then
  say "torch is a build for the CPU: pip takes a version with +cpu before the plain one; take the place that offers it out of pip's settings"
  exit 1
fi

say "2/4 making the networks that find hands"
# They come from MediaPipe's wheel, whose hash the command knows; nothing of it is installed.
PYTHONPATH=$here/.. run "$env/bin/python" -m aslspark fetch hand-models --out "$env/share/aslspark/hand-models"

say "3/4 compiling Horovod"
export HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_MXNET=1 HOROVOD_WITHOUT_NVTX=1
export HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITH_PYTORCH=1 HOROVOD_CPU_OPERATIONS=GLOO
[ "$gpu" = 1 ] && export HOROVOD_GPU_OPERATIONS=NCCL
export CMAKE_TOOLCHAIN_FILE=$here/horovod.cmake
MAKEFLAGS=-j$(nproc)
export MAKEFLAGS
# No cache: a wheel that was built against another TensorFlow or torch would be taken again.
PATH=$env/bin:$PATH install --no-cache-dir --no-binary horovod -r "$locks/horovod.lock"
run "$env/bin/python" -c 'import horovod.tensorflow'
run "$env/bin/python" -c 'import horovod.torch'

say "4/4 archiving the classes that Spark loads"
# Spark's own class path but for the folder of its settings, which Java allows behind what an archive was made with, not before.
jars=$("$env/bin/python" -c 'import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).parent / "jars")')
printf '%s' "$jars"/slf4j-api-*.jar ":$jars/*" >"$env/spark-classpath"
# By spark-submit, which ends when Java has: a session that Python starts leaves Java writing after Python's end.
PATH=$env/bin:$PATH SPARK_SUBMIT_OPTS="-cp '$(cat "$env/spark-classpath")'" PYSPARK_PYTHON=$env/bin/python SPARK_CONF_DIR=$env \
  run spark-submit --driver-java-options "-XX:ArchiveClassesAtExit=$env/spark.jsa" "$here/spark_classes.py"
run test -s "$env/spark.jsa"
echo "$stack" >"$env/stack"
touch "$env/.complete"
say "ready"
echo "$env"
