#!/bin/bash
# Trains on several machines under Slurm, preempted and requeued as often as it takes: sbatch recipes/slurm.sh @recipes/NAME.txt FLAGS
# Run it in the repository's folder, on a disk that all machines see. Change the next lines to your cluster's.
#SBATCH --job-name=cosplace
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=logs/slurm_%j.out
# A signal 120 s before the time is up, or before the job is preempted. The ranks then have 100 s to end their iteration (with --parallel groups
# their --local_steps) and to write a checkpoint: TORCH_ELASTIC_SHUTDOWN_TIMEOUT, which torchrun sets to 30 by default
#SBATCH --signal=B:USR1@120

set -euo pipefail

gpus=${SLURM_GPUS_ON_NODE:-1}
export MASTER_ADDR MASTER_PORT OMP_NUM_THREADS TORCH_ELASTIC_SHUTDOWN_TIMEOUT=100
# where a machine's name resolves to 127.0.1.1: export GLOO_SOCKET_IFNAME=eth0 NCCL_SOCKET_IFNAME=eth0 (your interface)
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
OMP_NUM_THREADS=$((${SLURM_CPUS_PER_TASK:-1} / gpus > 0 ? ${SLURM_CPUS_PER_TASK:-1} / gpus : 1))
name=${SAVE_DIR:-slurm_$SLURM_JOB_ID}  # a requeued job keeps its number, and so finds its run
mkdir -p logs

# The signal goes to torchrun's agent on each machine, not to the ranks, which it would end at once. The agent passes SIGTERM on to its ranks.
srun --kill-on-bad-exit=1 torchrun --nnodes="$SLURM_NNODES" --nproc_per_node="$gpus" --max_restarts=2 \
    --rdzv_id="$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}" --rdzv_backend=c10d --rdzv_endpoint="$MASTER_ADDR:$MASTER_PORT" \
    train.py "$@" --save_dir "$name" --resume_train auto &
step=$!

told=0
# shellcheck disable=SC2329
preempted() {
    told=1
    echo "Slurm's warning: the ranks write a checkpoint and end"
    scancel --signal=TERM "$SLURM_JOB_ID.0"  # the step that srun has started
}
trap preempted USR1 TERM

code=0
wait "$step" || code=$?
if ((told)); then  # the trap ended the first wait
    wait "$step" || code=$?
    echo "Requeued: it goes on with logs/$name"
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
fi
exit "$code"
