#!/usr/bin/env bash
# Train with several processes on this node: tools/dist_train.sh CONFIG PROCESSES [flags of train.py]
set -e
source "$(dirname "$0")/launch.sh"
with_torchrun train.py "$2" "$1" "${@:3}"
