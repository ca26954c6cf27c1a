#!/usr/bin/env bash
# Test on a slurm cluster: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [flags of test.py]
set -e
source "$(dirname "$0")/launch.sh"
with_srun test.py "$1" "$2" "$3" "$4" "${@:5}"
