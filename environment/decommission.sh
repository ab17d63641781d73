#!/usr/bin/env bash
# Kubernetes runs this in an executor's container before it ends it (spark.kubernetes.decommission.script): the executor takes no
# more tasks, and hands over what others need of it, for as long as the node's notice allows.
set -euo pipefail
executor=$(pgrep -o -f KubernetesExecutorBackend)
kill -s PWR "$executor"
timeout 60 tail --pid="$executor" -f /dev/null || true
