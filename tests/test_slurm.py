"""The SLURM scripts: their syntax, and the commands that they come to, with stand-ins for what a cluster has."""

import os
import subprocess
from pathlib import Path

import pytest

from samples import write

SCRIPTS = sorted((Path(__file__).parents[1] / "examples" / "slurm").glob("*.sbatch"))
STANDINS = {"srun": '"$@"', "torchrun": 'echo torchrun "$@"', "scapnet": 'echo scapnet "$@"'}
STANDINS["scontrol"] = "echo node7; echo node8"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_syntax_is_right(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True, timeout=20)
    assert "#SBATCH --time" in script.read_text(encoding="utf-8")


def said(name: str, folder: Path, *words: str) -> str:
    """What a script would start."""
    for command, body in STANDINS.items():
        write(folder / "bin" / command, ["#!/bin/bash", body]).chmod(0o755)
    place = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_ID": "5"}
    place |= {"SLURM_JOB_NUM_NODES": "2", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "16"}
    (script,) = (path for path in SCRIPTS if path.name == name)
    return subprocess.run(
        ["bash", script, *words], env=place, capture_output=True, text=True, check=True, timeout=20
    ).stdout.strip()


def test_a_job_begins_a_run_and_the_next_one_continues_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = said("train.sbatch", tmp_path, "photos", str(run))
    assert first.startswith("torchrun --standalone --nproc-per-node 8 -m scapnet train photos --data.root photos")
    assert first.endswith(f"--out {run}")
    write(run / "config.json", ["{}"])
    assert said("train.sbatch", tmp_path, "photos", str(run)).endswith(f"-m scapnet resume {run}")
    several = said("train-nodes.sbatch", tmp_path, "photos", str(run))
    assert "--nnodes 2 " in several
    assert "--rdzv-endpoint node7:29500" in several


def test_a_job_array_takes_its_shards(tmp_path: Path) -> None:
    found = said("predict.sbatch", tmp_path, "runs/photos", "photos", "a.csv")
    assert found == "scapnet predict runs/photos photos --out a.csv --shard 3/16"
