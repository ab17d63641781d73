#!/usr/bin/env bash
# Spark calls this on each worker: it prints the GPUs' addresses as the JSON that Spark's resource discovery reads.
set -euo pipefail
addresses=$(nvidia-smi --query-gpu=index --format=csv,noheader | sed 's/.*/"&"/' | paste -sd, -)
echo "{\"name\": \"gpu\", \"addresses\": [$addresses]}"
