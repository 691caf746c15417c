"""The import graph points downward, and light things stay light."""

import ast
import importlib
import inspect
import pickle
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import scapnet

ROOT = Path(scapnet.__file__).parent

# Top to bottom: a file imports only from layers below its own.
LAYERS: list[set[str]] = [
    {"__main__"},
    {"cli"},
    {"bench", "report"},
    {"experiments", "probing", "serve"},
    {"training"},
    {"faithfulness"},
    {"evaluate"},
    {"explain"},
    {"answers", "summary", "unknown", "visualize"},
    {"predictor", "shards"},
    {"predict"},
    {"decision"},
    {"prototypes"},
    {"engine", "prediction"},
    {"plot"},
    {"export"},
    {"checkpoint", "exported", "metrics"},
    {"card"},
    {"data"},
    {"build", "masking"},
    {"baselines"},
    {"model"},
    {"cam"},
    {"network"},
    {"backbones", "losses", "presets"},
    {"modules", "config"},
    {"modelfile"},
    {"calibration", "csvfile", "features", "fonts", "jsonfile", "processor", "serialization"},
    {"terminal"},
    {"allocator", "devices", "errors", "outputs", "tensorfile"},
]
INSIDE: dict[str, list[set[str]]] = {
    "bench": [
        {"__init__"},
        {"findings"},
        {"inference", "peers", "result", "training"},
        {"floors", "photos", "subject"},
        {"timing"},
    ],
    "cli": [{"__init__"}, {"data", "flags", "predict", "ship", "train"}, {"places"}],
    "backbones": [{"__init__"}, {"factory"}, {"vit"}, {"cnn"}, {"weights"}],
    "baselines": [{"__init__"}, {"nts", "plain", "rra"}, {"anchors", "settings"}],
    "config": [{"__init__"}, {"data", "model", "train"}, {"checks"}],
    "explain": [
        {"__init__", "command"},
        {"pairpicture"},
        {"pair", "picture"},
        {"photo"},
        {"neighbours"},
        {"evidence", "explanation"},
    ],
    "engine": [{"__init__"}, {"cached"}, {"graph", "network", "scored"}, {"base", "folding"}],
    "export": [{"__init__"}, {"check", "precision", "skipping"}, {"formats"}, {"graph"}, {"resize"}],
    "faithfulness": [
        {"table", "measure"},
        {"pixels"},
        {"drawn", "photos", "slots"},
        {"explanations"},
        {"activation"},
        {"__init__", "evidence"},
    ],
    "serve": [
        {"__init__"},
        {"api", "page"},
        {"answers"},
        {"batching", "connections", "corrections", "metrics", "uploads"},
        {"limits"},
    ],
    "metrics": [
        {"__init__", "batch", "coverage"},
        {"calibration", "conformal", "unknowns"},
        {
            "consistency",
            "faithfulness",
            "following",
            "gate",
            "parts_gain",
            "per_class",
            "label_faults",
            "pointing",
            "pooling",
            "removal",
            "slots",
        },
        {"localization", "skipping"},
    ],
    "modules": [{"__init__"}, {"alternatives", "ggau", "scaps", "prm"}, {"boxes", "fusion"}],
    "plot": [{"__init__"}, {"caption", "compare", "maps", "relation"}, {"parts"}, {"canvas"}],
    "probing": [{"probe"}, {"cached", "linear"}, {"__init__"}],
    "report": [
        {"__init__"},
        {"write"},
        {"content", "page"},
        {"findings"},
        {"material"},
        {"calibration", "doctor", "gallery", "measured", "pairs", "worth"},
        {"charts"},
        {"collect", "curves", "looks", "pictures"},
        {"answered"},
    ],
    "terminal": [{"__init__"}, {"faults"}, {"console", "hints"}],
    "training": [
        {"__init__", "train"},
        {"finish", "loop"},
        {"run"},
        {"resuming"},
        {
            "checkpointing",
            "health",
            "lock",
            "meter",
            "mixing",
            "optim",
            "runfolder",
            "schedule",
            "signals",
            "syncbn",
            "tracking",
        },
        {"manifest"},
    ],
    "experiments": [
        {"__init__", "reproduce"},
        {"frontier"},
        {"page", "runner", "worker"},
        {"cascade", "comparison", "cost"},
        {"identity", "record", "tables"},
        {"environment", "recipes", "rows", "stats"},
        {"figures"},
    ],
    "data": [
        {"audit", "scored"},
        {"recorded"},
        {"__init__", "labelled", "load", "loaders"},
        {"layout"},
        {"datasets", "record", "sources", "synthetic", "transforms"},
        {"augment", "broken", "fetch", "inputs", "lists", "splits"},
        {"photos"},
        {"images", "sample"},
        {"files", "groups", "info", "opening", "unpack"},
        {"colour", "formats", "resize", "spelling"},
    ],
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(path: Path) -> set[str]:
    """Modules of the package that a file imports anywhere, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in FILES}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: write imports in full"
            module = node.module or ""
            found |= {f"{module}.{a.name}" if f"{module}.{a.name}" in FILES else module for a in node.names}
    return {name for name in found if name in FILES}


# scapnet itself only looks names up when they are asked for; its version may be read from anywhere.
GRAPH = {name: imports(path) - {"scapnet"} for name, path in FILES.items() if name != "scapnet"}


def depth(name: str, layers: list[set[str]]) -> int:
    for level, layer in enumerate(layers):
        if name in layer:
            return level
    raise AssertionError(f"{name} has no layer: say where it stands")


def test_the_import_graph_has_no_circle() -> None:
    assert len(list(TopologicalSorter(GRAPH).static_order())) == len(GRAPH)


@pytest.mark.parametrize("name", GRAPH)
def test_imports_point_downward(name: str) -> None:
    mine = name.split(".")[1:]
    for other in GRAPH[name]:
        theirs = other.split(".")[1:]
        if theirs[0] != mine[0]:
            assert depth(mine[0], LAYERS) < depth(theirs[0], LAYERS), f"{name} imports {other}"
        else:
            layers = INSIDE[mine[0]]
            inner, lower = (part[1] if len(part) > 1 else "__init__" for part in (mine, theirs))
            # Files of one folder may import each other; the graph has no circle.
            assert inner == lower or depth(inner, layers) < depth(lower, layers), f"{name} imports {other}"


def test_only_the_version_is_taken_from_the_top() -> None:
    for path in FILES.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "scapnet":
                assert all(a.name == "__version__" or f"scapnet.{a.name}" in FILES for a in node.names), path


def test_only_the_command_line_knows_the_command_line() -> None:
    users = {name for name, path in FILES.items() if re.search("^(import|from) tyro", path.read_text(), re.MULTILINE)}
    assert users == {f"scapnet.cli{name}" for name in ("", ".data", ".places", ".predict", ".ship", ".train")}


# In each row, modules are imported one after the other into one process; each must not load what stands beside it.
LIGHT: list[dict[str, tuple[str, ...]]] = [
    {
        "scapnet": ("torch", "torchvision", "timm", "accelerate", "numpy", "PIL", "tyro"),
        "scapnet.config": ("torch", "torchvision", "timm", "accelerate", "numpy", "PIL", "tyro"),
        "scapnet.cli": ("torch", "torchvision", "timm", "accelerate", "numpy", "PIL"),
        "scapnet.data.files": ("torch", "torchvision", "numpy", "rich"),
        "scapnet.data.audit.facts": ("torch", "torchvision", "numpy", "rich"),
    },
    {
        "scapnet.losses": ("timm", "accelerate", "safetensors", "huggingface_hub"),
        "scapnet.modules": ("timm", "accelerate", "safetensors", "huggingface_hub"),
        "scapnet.data.synthetic.finches": ("timm", "accelerate", "safetensors"),
        "scapnet.experiments.figures.charts": ("matplotlib",),
    },
]


@pytest.mark.parametrize("heavy", LIGHT)
def test_light_things_load_nothing_heavy(heavy: dict[str, tuple[str, ...]]) -> None:
    lines = [f"import {name}; print('{name}', *(set({known}) & set(sys.modules)))" for name, known in heavy.items()]
    code = "\n".join(["import sys", *lines])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == list(heavy)


@pytest.mark.parametrize("name", scapnet.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    for module in sorted(GRAPH):  # a module of the same name must not take a name's place
        importlib.import_module(module)
    found = getattr(scapnet, name)
    assert found.__name__ == name
    assert found.__module__.startswith("scapnet.")
    assert name in dir(scapnet)
    text = found.__doc__ or ""
    assert text.strip()
    if inspect.isfunction(found):  # every argument is explained
        described = set(re.findall(r"\w+", text))
        assert set(inspect.signature(found).parameters) <= described


def test_the_package_is_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(scapnet)) is scapnet


def test_unknown_names_are_reported() -> None:
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        _ = scapnet.colour


@pytest.mark.parametrize("name", FILES)
def test_no_file_is_long(name: str) -> None:
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= 300
