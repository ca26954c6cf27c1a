#!/usr/bin/env bash
# Test with several processes on this node: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [flags of test.py]
set -e
source "$(dirname "$0")/launch.sh"
with_torchrun test.py "$3" "$1" "$2" "${@:4}"
