# Functions of dist_*.sh and slurm_*.sh: run a file of tools/ in several processes.
TOOLS=$(dirname "${BASH_SOURCE[0]}")
export PYTHONPATH="$TOOLS/..":$PYTHONPATH

# with_torchrun TOOL PROCESSES [arguments of the tool]
with_torchrun() {
    if [ "${NNODES:-1}" -gt 1 ]; then
        echo "node ${NODE_RANK:-0} waits for $NNODES nodes at ${MASTER_ADDR:-127.0.0.1}:${PORT:-29500}," \
            "at most ${JOIN_TIMEOUT:-600} s (JOIN_TIMEOUT)" >&2
    fi
    exec ${PYTHON:-python} -m torch.distributed.run \
        --nnodes="${NNODES:-1}" \
        --node_rank="${NODE_RANK:-0}" \
        --master_addr="${MASTER_ADDR:-127.0.0.1}" \
        --master_port="${PORT:-29500}" \
        --rdzv_conf="timeout=${JOIN_TIMEOUT:-600}" \
        --nproc_per_node="$2" \
        "$TOOLS/$1" --launcher pytorch "${@:3}"
}

# with_srun TOOL PARTITION JOB_NAME [arguments of the tool]
with_srun() {
    set -x
    # SRUN_ARGS is split into words on purpose.
    exec srun -p "$2" \
        --job-name="$3" \
        --gres=gpu:"${GPUS_PER_NODE:-8}" \
        --ntasks="${GPUS:-8}" \
        --ntasks-per-node="${GPUS_PER_NODE:-8}" \
        --cpus-per-task="${CPUS_PER_TASK:-5}" \
        --kill-on-bad-exit=1 \
        ${SRUN_ARGS:-} \
        ${PYTHON:-python} -u "$TOOLS/$1" --launcher slurm "${@:4}"
}
