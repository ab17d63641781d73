#!/usr/bin/env bash
# Builds the environment of requirements.lock, with Horovod compiled for its TensorFlow and torch, and prints
# where it is. It is kept under a name that holds a hash of all that it is made from, so that a second clone
# with the same lock finds it again. GPU=1 builds for CUDA with NCCL.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
gpu=${GPU:-0}
python=${PYTHON:-python3.11}
command -v "$python" >/dev/null || python=python3
cache=${ASLSPARK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aslspark}
horovod=0.28.1
pip=25.2  # 25.3 drops the route by which Horovod's setup.py builds a wheel

say() { echo "environment: $*" >&2; }

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
  [ "${java_version:-0}" = 17 ] || [ "${java_version:-0}" = 11 ] || [ "${java_version:-0}" = 8 ] \
    || missing+=("Java 17 (found: ${java_version:-none}; Debian: apt-get install openjdk-17-jre-headless)")
  if [ "$gpu" = 1 ]; then
    [ -x "${HOROVOD_CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ] || command -v nvcc >/dev/null \
      || missing+=("CUDA's compiler nvcc, for GPU=1 (the CUDA toolkit and NCCL's headers; \$HOROVOD_CUDA_HOME and \$HOROVOD_NCCL_HOME say where they are)")
  fi
  if [ ${#missing[@]} -gt 0 ]; then
    for tool in "${missing[@]}"; do say "missing: $tool"; done
    exit 1
  fi
}

lock=$here/requirements.lock
key=$( { cat "$lock" "$here/cxx17.cmake" "${BASH_SOURCE[0]}"; echo "gpu=$gpu"; uname -m; "$python" --version || true; } 2>/dev/null \
  | sha256sum | cut -c1-16)
env=$cache/env-$key
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
log=$cache/build-$key.log
run() { "$@" >>"$log" 2>&1 || { tail -n 30 "$log" >&2; say "failed: $*"; say "the whole log: $log"; exit 1; }; }

: >"$log"
run "$python" -m venv "$env"
run "$env/bin/pip" install "pip==$pip"
if [ "$gpu" = 1 ]; then
  # TensorFlow brings CUDA 12's libraries and torch CUDA 13's, under names that differ: pip installs both.
  sed 's/^tensorflow-cpu==/tensorflow[and-cuda]==/' "$lock" >"$env/requirements.lock"
else
  cp "$lock" "$env/requirements.lock"
fi
say "1/2 installing the packages"
run "$env/bin/pip" install -r "$env/requirements.lock"
run "$env/bin/pip" check
if [ "$gpu" = 1 ] && ! "$env/bin/python" -c 'import sys, torch; sys.exit(torch.version.cuda is None)' 2>>"$log"; then
  say "torch is a build for the CPU: pip takes a version with +cpu before the plain one; take the place that offers it out of pip's settings"
  exit 1
fi

say "2/2 compiling Horovod $horovod"
export HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_MXNET=1 HOROVOD_WITHOUT_NVTX=1
export HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITH_PYTORCH=1 HOROVOD_CPU_OPERATIONS=GLOO
[ "$gpu" = 1 ] && export HOROVOD_GPU_OPERATIONS=NCCL
export CMAKE_TOOLCHAIN_FILE=$here/cxx17.cmake
MAKEFLAGS=-j$(nproc)
export MAKEFLAGS
# No cache: a wheel that was built against another TensorFlow or torch would be taken again.
PATH=$env/bin:$PATH run "$env/bin/pip" install --no-deps --no-build-isolation --no-cache-dir \
  --no-binary horovod "horovod==$horovod"
run "$env/bin/python" -c 'import horovod.tensorflow'
run "$env/bin/python" -c 'import horovod.torch'
touch "$env/.complete"
say "ready"
echo "$env"
