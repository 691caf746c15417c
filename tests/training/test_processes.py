"""Two processes train as one does: the same images in each step, the same losses, and a checkpoint for any number."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from filelock import FileLock
from safetensors.torch import load_file
from torch import nn

from samples import log_of, make, net, own_photos, photos, train_and_kill
from scapnet.config import Config, ViewConfig
from scapnet.data.loaders import eval_loader
from scapnet.data.synthetic.finches import Finches
from scapnet.evaluate import evaluate_model
from scapnet.experiments.rows import changed
from scapnet.jsonfile import read_json
from scapnet.terminal.console import ProgressBar
from scapnet.training import loop
from scapnet.training.loop import train_epoch
from scapnet.training.run import Run, share_of
from scapnet.training.runfolder import last_checkpoint
from scapnet.training.syncbn import CpuSyncBatchNorm, synchronise
from scapnet.training.train import resume, train

SCRIPT = """
import json, os, sys
from dataclasses import replace
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from accelerate import Accelerator
from samples import train_and_kill
from test_processes import config_of, one_epoch, sizes, unreadable, watched
from scapnet.training.train import resume, train
out, rank = Path(sys.argv[2]), os.environ["RANK"]
config = config_of(out / "data", 2)
seen = {}
with watched(seen, "whole"):
    train(config, out / "whole")
with watched(seen, "grown"):
    resume(out / "grown")  # which one process began
train_and_kill(config, out / "shrunk", 5)
one_epoch(replace(config, train=replace(config.train, sync_bn=False)), out / "own")
seen["sizes"] = sizes(Accelerator(cpu=True))
seen["unreadable"] = unreadable(Accelerator(cpu=True), out / f"photos-{rank}")
(out / f"seen-{rank}.json").write_text(json.dumps(seen))
os._exit(0)  # gloo's threads may abort a process that takes itself apart
"""


def config_of(root: Path, batch: int) -> Config:
    """Three steps of two epochs and four images each, without random noise in the network."""
    config = own_photos(root, epochs=2, batch_size=batch, checkpoint_steps=2, sync_bn=True)
    return changed(config, {"model.gate.noise": False})


class watched:
    """Notes the images of each step of this process."""

    def __init__(self, seen: dict[str, Any], name: str) -> None:
        self.steps: list[Any] = seen.setdefault(name, [])

    def __enter__(self) -> None:
        self.inner = loop.train_step

        def step(run: Run, batch: Any) -> Any:
            self.steps.append([run.position.epoch, run.position.step, batch["index"].tolist()])
            return self.inner(run, batch)

        loop.train_step = step

    def __exit__(self, *_: object) -> None:
        loop.train_step = self.inner


def one_epoch(config: Config, folder: Path) -> None:
    """The first epoch of a run."""
    with ProgressBar("work", quiet=True) as bar:
        bar.start("training", 1)
        train_epoch(Run(config, folder), bar)


def sizes(accelerator: Any) -> list[Any]:
    """The scored samples and the accuracy for splits that no number of processes divides."""
    found = []
    for size in (1, 5):
        model, data = make(), Finches("test", 4, size, 72)
        net, loader = accelerator.prepare(model, eval_loader(data, ViewConfig(64, 72), 2, 0))
        scored = evaluate_model(net, loader, accelerator)
        found.append([scored.samples.tolist(), scored.target.tolist(), scored.scores])
        accelerator.free_memory()
    return found


def unreadable(accelerator: Any, root: Path) -> list[Any]:
    """The scored samples and the scores where some of 13 photos cannot be read."""
    data = photos(root, "abcabcabcabca", {0, 4, 12})
    model, loader = accelerator.prepare(net(), eval_loader(data, ViewConfig(64, 72), 2, 0))
    found = evaluate_model(model, loader, accelerator)
    return [found.samples.tolist(), found.scores]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Runs of one process and of two, and what each process saw; made once for all processes of the tests."""
    base = tmp_path_factory.getbasetemp()
    out = (base if worker_id == "master" else base.parent) / "processes"
    with FileLock(out.with_suffix(".lock")):
        if not (out / "said").exists():
            out.mkdir()
            make_runs(out)
    return out


def make_runs(out: Path) -> None:
    """What `out` holds."""
    here, one = str(Path(__file__).parent), config_of(out / "data", 4)
    train(one, out / "one")
    train_and_kill(one, out / "grown", 4)  # in the second epoch; the last checkpoint ends the first
    (out / "script.py").write_text(SCRIPT.replace("[sys.argv[1]]", f"[{here!r}, {str(Path(here).parent)!r}]"))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, str(out / "script.py"), here, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (out / "said").write_text(done.stdout)


def steps(out: Path, name: str) -> list[list[Any]]:
    """For each step of two processes: epoch, step, and the images of each."""
    first, second = (json.loads((out / f"seen-{rank}.json").read_text())[name] for rank in (0, 1))
    return [[a[0], a[1], a[2], b[2]] for a, b in zip(first, second, strict=True) if a[:2] == b[:2]]


def test_processes_have_different_images_and_together_all_of_them(out: Path) -> None:
    found = steps(out, "whole")
    assert [step[:2] for step in found] == [[epoch, step] for epoch in (0, 1) for step in range(3)]
    for epoch in (0, 1):
        images = [image for step in found if step[0] == epoch for image in (*step[2], *step[3])]
        assert sorted(images) == list(range(12))
    assert all(len(step[2]) == len(step[3]) == 2 for step in found)


def losses(run: Path) -> list[dict[str, Any]]:
    return [line for line in log_of(run) if "split" not in line]


@pytest.mark.parametrize("name", ["whole", "grown"])
def test_the_losses_are_those_of_one_process(out: Path, name: str) -> None:
    one, two = losses(out / "one"), losses(out / name)
    assert len(one) == 6
    for line, other in zip(one, two, strict=True):
        assert line == pytest.approx(other, rel=1e-3, abs=1e-4)  # the learning rate too
    weights, others = (load_file(out / run / "model" / "model.safetensors") for run in ("one", name))
    assert weights.keys() == others.keys()
    for key in weights:
        torch.testing.assert_close(weights[key], others[key], rtol=1e-2, atol=1e-3)


def test_without_synchronised_batch_norm_they_are_not(out: Path) -> None:
    assert losses(out / "own")[0]["loss"] != pytest.approx(losses(out / "one")[0]["loss"], rel=1e-3)


def test_a_run_goes_on_with_more_processes_and_the_same_images(out: Path) -> None:
    found = steps(out, "grown")
    assert found == [step for step in steps(out, "whole") if step[:2] >= [1, 0]]
    assert (
        "goes on with 2 processes instead of 1 process, with the same images in each step" in (out / "said").read_text()
    )


def test_a_run_goes_on_with_fewer_processes_and_the_same_images(out: Path) -> None:
    saved = last_checkpoint(out / "shrunk")
    assert saved is not None
    assert saved.name == "00001-0000002"
    # One file of each but for the random states, which each process has of its own.
    assert {path.name for path in saved.iterdir()} == {
        *("config.json", "files.json", "model.safetensors", "optimizer.bin", "position.json"),
        *("random_states_0.pkl", "random_states_1.pkl"),
    }
    seen: dict[str, Any] = {}
    with watched(seen, "steps"):
        resume(out / "shrunk")
    assert seen["steps"] == [[*step[:2], step[2] + step[3]] for step in steps(out, "whole")[5:]]
    for line, other in zip(losses(out / "one"), losses(out / "shrunk"), strict=True):
        assert line == pytest.approx(other, rel=1e-3, abs=1e-4)


def test_scores_are_exact_whatever_divides_the_split(out: Path) -> None:
    found = json.loads((out / "seen-0.json").read_text())["sizes"]
    assert found == json.loads((out / "seen-1.json").read_text())["sizes"]
    for (samples, target, scores), (own_samples, own_target, own) in zip(
        found, sizes(Accelerator(cpu=True)), strict=True
    ):
        assert samples == own_samples == list(range(len(samples)))
        assert target == own_target
        assert scores == pytest.approx(own, abs=1e-6, nan_ok=True)


def test_two_processes_leave_the_same_photos_out(out: Path, tmp_path: Path) -> None:
    samples, scores = json.loads((out / "seen-0.json").read_text())["unreadable"]
    own_samples, own = unreadable(Accelerator(cpu=True), tmp_path)
    assert samples == own_samples == [1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert "gate_by_place" in scores
    assert scores == pytest.approx(own, abs=1e-6)


def test_what_processes_cannot_share_is_said() -> None:
    assert share_of(16, 4) == 4
    with pytest.raises(ValueError, match=r"5 processes cannot share the 12 images .*: 1, 2, 3, 4, 6, 12"):
        share_of(12, 5)


def test_a_run_remembers_the_processes_that_its_batch_size_is_for(tmp_path: Path) -> None:
    config = own_photos(tmp_path / "data", checkpoint_steps=2)
    train_and_kill(config, tmp_path / "run", 2)
    saved = last_checkpoint(tmp_path / "run")
    assert saved is not None
    assert read_json(saved / "position.json")["processes"] == 1


def test_one_process_alone_has_the_batch_norm_of_torch() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    synced = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    synced.load_state_dict(plain.state_dict())
    synchronise(synced, torch.device("cpu"))
    assert isinstance(synced[1], CpuSyncBatchNorm)
    image = torch.randn(4, 3, 5, 5)
    assert torch.equal(plain(image), synced(image))
    assert torch.equal(plain.eval()(image), synced.eval()(image))
    assert plain.state_dict().keys() == synced.state_dict().keys()
