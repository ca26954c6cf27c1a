#!/usr/bin/env bash
# Train on a slurm cluster: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [flags of train.py]
set -e
source "$(dirname "$0")/launch.sh"
with_srun train.py "$1" "$2" "$3" --work-dir "$4" "${@:5}"
