#!/usr/bin/env bash
# Pilot jobs: workers of `python -m flows run --pool gpu` for as long as SLURM lets them run, one GPU each.
#
#   sbatch --array=1-8 --export=ALL flows/fleet/slurm.sh gpu        from the root of a clone that all nodes see
#
# PREFECT_API_URL, PREFECT_API_AUTH_STRING and the key of the DVC remote come from the environment of sbatch. A stage that is
# at work when a job's time is over is sent again, and resumes on a node with the same clone from its last resume state.
#SBATCH --job-name=distilflow
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=32G
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@60
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?}"
exec .venv/bin/python -m flows worker --pool "${1:-gpu}" --name "$(hostname)-${SLURM_JOB_ID:?}"
