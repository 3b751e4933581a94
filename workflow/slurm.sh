#!/bin/sh
# A sweep's shards as a Slurm job array, then the reports of all:
#
#   job=$(sbatch --parsable --array=1-8 workflow/slurm.sh data/stat5 stat5-sweep --points 10000 --engine cpu)
#   sbatch --dependency=afterok:$job --wrap "gradsweep merge stat5-sweep-shards/* --out stat5-sweep"
#
# Arguments: the problem, the folder for the reports, options of `gradsweep sweep`. GRADSWEEP names the
# program if it is not on the path. A shard that ran out of time, or whose node was lost, goes on from
# its journal when it is started again with the same line; a minute before the end it is told to stop.
#SBATCH --job-name=gradsweep
#SBATCH --cpus-per-task=1
#SBATCH --mem=1000
#SBATCH --time=60
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
set -eu
if [ $# -lt 2 ] || [ -z "${SLURM_ARRAY_TASK_ID:-}" ]; then
    echo "usage: sbatch --array=1-N workflow/slurm.sh PROBLEM OUT [OPTION...]" >&2
    exit 2
fi
problem=$1
out=$2
shift 2
mkdir -p "$out-shards"
# In the place of the shell, so that signals arrive.
exec "${GRADSWEEP:-gradsweep}" --quiet sweep "$problem" "$@" \
    --threads "${SLURM_CPUS_PER_TASK:-1}" \
    --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
    --out "$out-shards/$SLURM_ARRAY_TASK_ID" --resume
