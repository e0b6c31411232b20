"""Damage of every kind to every kind of file: what do commands say, and how long do they take?

    python benchmarks/fuzz.py                     # 10,000 mutations of all kinds: half an hour
    python benchmarks/fuzz.py --kinds cards runs --mutations 100 --seed 7

A kind is a folder of sound files and the commands that read them. Each mutation damages one file:
bits flipped, bytes cut or repeated; in JSON and TOML also values replaced, removed or moved; in
arrays other shapes, types and numbers; in XML other attributes and elements. Commands then run in
this process, through the function behind `bodyplan`. They may succeed or refuse with one sentence.
Every other exception is a traceback, and is printed with the seed that repeats it. One JSON object
per line: mutations, refusals, tracebacks, seconds each, and the growth of this process's memory.
"""

import argparse
import contextlib
import io
import json
import os
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from outcome import say

from bodyplan.cli import main as run_command
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import write_card
from bodyplan.envs.environment import Environment
from bodyplan.envs.walking_task import HORIZON
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.networks.urma_heads import URMAPolicy
from bodyplan.learn.policy import Policy
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.registry import MODELS

ROBOT, ROBOTS = "bittle", ("bittle", "unitree_go1")
STRANGE: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 3, 2**31, 10**12, 10**30, 0.5, -0.1, 1e300, 1e-300),
    *("", "word", "../x", "ä\u2028", "nan", [], {}, [[]], [1, 2], ["a"], {"a": 1}, [[1.5, "x"]]),
)
"""Values that take the place of others."""
DTYPES = ("<f4", ">f4", "<f8", "<f2", "<i4", "<i8", "|b1", "|u1", "<c8", "<U3", "<M8[s]")

Mutator = Callable[[bytes, np.random.Generator], bytes]


@dataclass(frozen=True)
class Kind:
    """Sound files of one kind, and the commands that read them."""

    folder: Path
    files: tuple[str, ...]
    """Those that are damaged, relative to the folder."""
    commands: tuple[tuple[str, ...], ...]
    """Arguments of `bodyplan`; they run in the folder."""


@dataclass(frozen=True)
class Verdict:
    """What a command said to a damaged file."""

    status: int | None
    """None where it ended in another exception."""
    text: str
    """What it wrote to standard error, or the traceback."""


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """Bits flipped, bytes cut off, repeated or overwritten; half the time near the start."""
    if not content:
        return b"\0"
    changed = bytearray(content)
    reach = len(changed) if rng.random() < 0.5 else min(len(changed), 160)
    first = int(rng.integers(reach))
    last = min(len(changed), first + int(rng.integers(1, 40)))
    match int(rng.integers(5)):
        case 0:
            del changed[first:]
        case 1:
            del changed[first:last]
        case 2:
            changed[first:first] = changed[first:last]
        case 3:
            changed[first:last] = bytes(last - first)
        case _:
            for place in rng.integers(0, reach, int(rng.integers(1, 4))):
                changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _places(content: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries: Any = ()
    if isinstance(content, dict):
        entries = content.items()
    elif isinstance(content, list):
        entries = enumerate(content)
    for key, value in entries:
        yield (*above, key)
        yield from _places(value, (*above, key))


def edited(content: Any, rng: np.random.Generator) -> Any:
    """A document with one value replaced, removed, renamed, or moved to another's place."""
    places = list(_places(content))
    if not places:
        return STRANGE[rng.integers(len(STRANGE))]
    *above, key = places[rng.integers(len(places))]
    table = content
    for step in above:
        table = table[step]
    match int(rng.integers(6)):
        case 0:
            del table[key]
        case 1 if isinstance(table, dict):
            table[f"{key}x"] = table.pop(key)
        case 2:
            *others, last = places[rng.integers(len(places))]
            source = content
            for step in others:
                source = source[step]
            table[key] = json.loads(json.dumps(source[last]))
        case 3 if isinstance(table[key], int | float):
            table[key] = type(table[key])(table[key] * [-1, 0, 2, 10][rng.integers(4)])
        case _:
            table[key] = STRANGE[rng.integers(len(STRANGE))]
    return content


def json_edited(content: bytes, rng: np.random.Generator) -> bytes:
    """A JSON file with a value, or a line of several, edited."""
    lines = content.decode().splitlines()
    try:
        return json.dumps(edited(json.loads(content), rng)).encode()
    except ValueError:
        place = int(rng.integers(len(lines)))
        lines[place] = json.dumps(edited(json.loads(lines[place]), rng))
        return ("\n".join(lines) + "\n").encode()


def array_edited(content: bytes, rng: np.random.Generator) -> bytes:
    """An `.npy` file of another shape, type, order or other numbers, whose header is right."""
    array = np.load(io.BytesIO(content))
    match int(rng.integers(6)):
        case 0:
            array = array[: int(rng.integers(len(array) + 1))]
        case 1:
            with np.errstate(all="ignore"):
                array = array.astype(DTYPES[rng.integers(len(DTYPES))])
        case 2:
            array = array.reshape(rng.permutation(array.shape))
        case 3:
            array = array.ravel() if rng.random() < 0.5 else array[None]
        case 4:
            array = np.asfortranarray(array)
            array = np.concatenate([array, array])[: len(array) + int(rng.integers(1, 9))]
        case _:
            flat = array.reshape(-1)
            strange = [np.nan, np.inf, -1, 0, 2**30, 1e30]
            for place in rng.integers(0, flat.size, int(rng.integers(1, 4))):
                with np.errstate(all="ignore"):
                    flat[place] = np.array(strange[rng.integers(6)]).astype(flat.dtype)
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


def tensors_edited(content: bytes, rng: np.random.Generator) -> bytes:
    """A safetensors file whose header is edited, with the same bytes behind it."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(edited(json.loads(content[8:start]), rng)).encode()
    return len(header).to_bytes(8, "little") + header + content[start:]


def text_edited(content: bytes, rng: np.random.Generator) -> bytes:
    """TOML or XML with a value replaced, or a line removed, repeated or moved."""
    lines = content.decode().splitlines()
    place = int(rng.integers(len(lines)))
    values = list(re.finditer(r'"[^"]*"|(?<![\w.])-?\d[\d.e-]*', lines[place]))
    if values and rng.random() < 0.7:
        value = values[rng.integers(len(values))]
        new = json.dumps(STRANGE[rng.integers(len(STRANGE))], ensure_ascii=False)
        if lines[place].lstrip().startswith("<"):
            new = '"' + new.strip('"').replace("<", "").replace('"', "") + '"'
        lines[place] = lines[place][: value.start()] + new + lines[place][value.end() :]
    else:
        line = lines.pop(place)
        for _ in range(int(rng.integers(3))):
            lines.insert(int(rng.integers(len(lines) + 1)), line)
    return ("\n".join(lines) + "\n").encode()


EDITORS: dict[str, Mutator] = {
    ".json": json_edited,
    ".jsonl": json_edited,
    ".npy": array_edited,
    ".safetensors": tensors_edited,
    ".toml": text_edited,
    ".xml": text_edited,
    ".urdf": text_edited,
}


def mutated(path: Path, content: bytes, rng: np.random.Generator) -> bytes:
    """A file's content, damaged."""
    editor = EDITORS.get(path.suffix, flipped)
    return (editor if rng.random() < 0.75 else flipped)(content, rng)


def verdict(command: Sequence[str]) -> Verdict:
    """Runs a command of `bodyplan` in this process."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            return Verdict(run_command(command), errors.getvalue())
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            return Verdict(None, traceback.format_exc())


@dataclass(frozen=True)
class Trial:
    """What became of one damaged file."""

    file: str
    before: bytes
    after: bytes
    verdicts: tuple[Verdict, ...]
    """Of each command."""


def try_mutation(kind: Kind, seed: int) -> Trial:
    """Damages one file as the seed says, runs the commands, and restores the file."""
    rng = np.random.default_rng(seed)
    name = kind.files[rng.integers(len(kind.files))]
    path = kind.folder / name
    content = path.read_bytes()
    before = set(kind.folder.rglob("*"))
    damaged = mutated(path, content, rng)
    path.write_bytes(damaged)
    try:
        with contextlib.chdir(kind.folder):
            return Trial(name, content, damaged, tuple(map(verdict, kind.commands)))
    finally:
        path.write_bytes(content)
        for own in sorted(set(kind.folder.rglob("*")) - before, reverse=True):
            own.rmdir() if own.is_dir() else own.unlink()


def recorded(robot: str, steps: int) -> Episodes:
    """A few steps of random actions in the simulator."""
    environment = Environment(robot, num_envs=1, initial_state="random", seed=0)
    rng = np.random.default_rng(0)
    frames, rows = [environment.reset()], []
    for _ in range(min(steps, HORIZON)):
        action = rng.normal(0.0, 0.3, (1, environment.robot.num_joints)).astype(np.float32)
        step = environment.step(action)
        frames.append(step.observation)
        rows.append((action[0], np.float32(step.reward[0])))
        if step.terminated[0]:
            break
    count = len(rows)
    ends = np.zeros(count, bool)
    ends[-1] = True
    fell = bool(step.terminated[0])
    seen = [np.concatenate(part).astype(np.float32) for part in zip(*frames, strict=True)]
    actions, rewards = zip(*rows, strict=True)
    return Episodes(
        *seen,
        np.stack(actions),
        np.array(rewards),
        ends & fell,
        ends & (not fell),
        np.array([count]),
        RobotDescriptor._make(np.asarray(part)[None] for part in environment.descriptor),
    )


def make_data(folder: Path) -> None:
    """A small dataset of two robots."""
    metadata = {"recipe": "logs", "command": [1.0, 0.0, 0.0], "seed": 0, "steps": 50}
    entries = {robot: recorded(robot, 50).write(folder / robot) for robot in ROBOTS}
    write_card(folder, metadata, entries)


def make_run(folder: Path, data: Path) -> None:
    """A run that was evaluated, with an untrained policy."""
    sizes = PRESETS["tiny"]
    facts = {"robots": list(ROBOTS), "command": [1.0, 0.0, 0.0], "update": 20, "models": {}}
    network = URMAPolicy(np.random.default_rng(0), sizes)
    Policy.of(network, IQL(), sizes, None, **facts).save(folder / "policy")
    scores = {
        "return_mean": 3.0,
        "return_se": 0.5,
        "returns": [2.0, 4.0],
        "fall_share": 0.5,
        "length_mean": 500.0,
        "velocity": [0.1, 0.0],
        "velocity_error": 0.9,
        "normalised_return": 0.2,
        "floor_return": 1.0,
        "expert_return": 11.0,
        "ceiling_return": 20.0,
        "reference": "expert",
        "data_return": 2.0,
        "data_episodes": 4,
        "data_best_return": None,
    }
    documents: dict[str, Any] = {
        "config.json": {
            "data": str(data),
            "out": str(folder),
            "algorithm": "iql",
            "combine": "pooled",
            "iql": {"beta": 3.0},
            "robots": list(ROBOTS),
            "groups": [list(ROBOTS)],
            "updates": 20,
            "seed": 0,
            "provenance": {"bodyplan": "0.1", "commit": None, "date": "2026-11-30T13:47:20+00:00"},
        },
        "evaluation.json": {
            "command": [1.0, 0.0, 0.0],
            "episodes": 2,
            "seed": 0,
            "initial_state": "random",
            "conditions": {"randomise": False},
            "policy": "last",
            "updates": 20,
            "robots": dict.fromkeys(ROBOTS, scores),
            "mean": {"return_mean": 3.0, "normalised_return": 0.2},
        },
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))
    lines = [
        {"update": update, "wall_s": 1.0, "critic/q_loss": 0.1, f"actor/loss/{ROBOT}": 1.0}
        for update in (10, 20)
    ]
    lines.append({"update": 20, "evaluation": {ROBOT: {"return_mean": 3.0, "fall_share": 0.5}}})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    line = {"update": 20, "norms": [1.0, 2.0], "cosines": [0.5]}
    (folder / "conflicts.jsonl").write_text(json.dumps(line) + "\n")


def make_logs(folder: Path) -> None:
    """A user's logs with their mapping file."""
    episodes = recorded(ROBOT, 50)
    np.savez(
        folder / "log.npz",
        joints=episodes.joints[:-1].reshape(episodes.num_steps, -1),
        feet=episodes.feet[:-1].reshape(episodes.num_steps, -1),
        general=episodes.general[:-1],
        actions=episodes.actions,
        rewards=np.maximum(episodes.rewards, 0.0),
        done=episodes.terminated | episodes.truncated,
    )
    (folder / "mapping.toml").write_text(
        'recipe = "logs"\nseed = 0\ncommand = [1.0, 0.0, 0.0]\n\n[[robots]]\n'
        f'robot = "{ROBOT}"\nfiles = ["log.npz"]\nrate = 50\n'
        'joints = "joints"\nfeet = { array = "feet", scale = 1.0 }\ngeneral = "general"\n'
        'actions = { array = "actions", kind = "offset" }\nrewards = { array = "rewards", '
        'least = 0.0 }\nterminated = false\ntruncated = "done"\n'
    )


URDF = """<?xml version="1.0"?>
<robot name="walker">
  <link name="trunk">
    <inertial>
      <mass value="2.0"/>
      <inertia ixx="0.01" ixy="0" ixz="0" iyy="0.01" iyz="0" izz="0.01"/>
    </inertial>
    <collision><geometry><box size="0.3 0.2 0.1"/></geometry></collision>
  </link>
  <link name="thigh">
    <inertial>
      <origin xyz="0 0 -0.1"/><mass value="0.3"/>
      <inertia ixx="0.001" ixy="0" ixz="0" iyy="0.001" iyz="0" izz="0.001"/>
    </inertial>
    <collision>
      <origin xyz="0 0 -0.1"/>
      <geometry><cylinder radius="0.02" length="0.2"/></geometry>
    </collision>
  </link>
  <link name="foot">
    <inertial>
      <mass value="0.1"/>
      <inertia ixx="0.0001" ixy="0" ixz="0" iyy="0.0001" iyz="0" izz="0.0001"/>
    </inertial>
    <collision><geometry><sphere radius="0.03"/></geometry></collision>
  </link>
  <joint name="hip" type="revolute">
    <parent link="trunk"/><child link="thigh"/><origin xyz="0.1 0 0"/><axis xyz="0 1 0"/>
    <limit lower="-1" upper="1" effort="10" velocity="10"/>
  </joint>
  <joint name="knee" type="revolute">
    <parent link="thigh"/><child link="foot"/><origin xyz="0 0 -0.2"/><axis xyz="0 1 0"/>
    <limit lower="-1" upper="1" effort="10" velocity="10"/>
  </joint>
</robot>
"""


def make_kinds(folder: Path) -> dict[str, Kind]:
    """Sound files of every kind in a folder."""
    data = folder / "data"
    make_data(data)
    run, logs, robots = folder / "run", folder / "logs", folder / "robots"
    for place in (run, logs, robots):
        place.mkdir()
    make_run(run, data)
    make_logs(logs)
    for suffix in (".xml", ".toml"):
        shutil.copy(MODELS / f"{ROBOT}{suffix}", robots / f"mine{suffix}")
    (robots / "walker.urdf").write_text(URDF)
    groups = folder / "groups.json"
    groups.write_text(json.dumps([[ROBOTS[0]], [ROBOTS[1]]]))
    arrays = tuple(str(path.relative_to(folder)) for path in data.glob("*/*.np[yz]"))
    commands = (("data", "info", "data"), ("data", "verify", "data"))
    training = ("train", "--data", "data", "--out", "new", "--network", "tiny", "--batch-size", "4")
    short = ("--updates", "1", "--log-every", "1", "--checkpoint-every", "1")
    # Groups are read before it is found that one robot cannot be drawn from two groups.
    grouped = ("--combine", "grouped", "--groups", "groups.json", "--robots-per-update", "1")
    report = ("report", "run", "--no-films", "--out", "page.html")
    runs = (report, ("compare", "run", "--json"), ("conflicts", "run", "--json"))
    policies = (("evaluate", "run", "--episodes", "1", "--json"),)
    check, adapt = ("robots", "check"), ("robots", "adapt")
    return {
        "cards": Kind(folder, ("data/card.json",), (*commands, (*training, *short))),
        "arrays": Kind(folder, arrays, (*commands, (*training, *short))),
        "runs": Kind(
            folder,
            tuple(
                f"run/{name}"
                for name in ("config.json", "evaluation.json", "metrics.jsonl", "conflicts.jsonl")
            ),
            runs,
        ),
        "policies": Kind(
            folder, ("run/policy/card.json", "run/policy/policy.safetensors"), policies
        ),
        "groups": Kind(folder, ("groups.json",), ((*training, *grouped),)),
        "mappings": Kind(
            logs, ("mapping.toml",), (("data", "import", "mapping.toml", "--out", "new"),)
        ),
        "logs": Kind(logs, ("log.npz",), (("data", "import", "mapping.toml", "--out", "new"),)),
        "mjcf": Kind(robots, ("mine.xml",), ((*check, "mine.xml"), ("robots", "show", "mine.xml"))),
        "toml": Kind(robots, ("mine.toml",), ((*check, "mine.xml"),)),
        "urdf": Kind(robots, ("walker.urdf",), ((*adapt, "walker.urdf", "--out", "adapted.xml"),)),
    }


def main() -> None:
    """Runs the mutations that the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kinds", nargs="+", help="kinds of files; by default all")
    parser.add_argument("--mutations", type=int, default=1000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first mutation")
    options = parser.parse_args()
    os.environ["COLUMNS"] = "80"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        kinds = make_kinds(Path(folder))
        for name in options.kinds or kinds:
            measure(name, kinds[name], range(options.seed, options.seed + options.mutations))


def measure(name: str, kind: Kind, seeds: Sequence[int]) -> None:
    """One kind's mutations, and a line of JSON about them."""
    start, memory = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = tracebacks = commands = 0
    for seed in seeds:
        trial = try_mutation(kind, seed)
        file, verdicts = trial.file, trial.verdicts
        commands += len(verdicts)
        refused += sum(own.status == 2 for own in verdicts)
        for command, own in zip(kind.commands, verdicts, strict=True):
            if own.status is None:
                tracebacks += 1
                told = own.text.splitlines()[-8:]
                line = {"kind": name, "seed": seed, "file": file, "command": command}
                sys.stdout.write(json.dumps(line | {"traceback": told}) + "\n")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    seconds = time.perf_counter() - start
    say(
        "fuzz",
        name,
        "seconds each",
        seconds / max(len(seeds), 1),
        "s",
        mutations=len(seeds),
        commands=commands,
        refused=refused,
        tracebacks=tracebacks,
        grown_mb=grown / 1024,
    )


if __name__ == "__main__":
    main()
