"""Commands that are killed, stopped, starved of disk and damaged, and go on to the same result.

    python benchmarks/soak.py --minutes 20
    python benchmarks/soak.py --minutes 1 --commands build train

Each trial runs a command in a folder of its own and disturbs it up to three times at random
moments: SIGKILL, SIGTERM, SIGINT or SIGHUP; a limit on the size of files, as a full disk; a file
of what it has written cut short. Then the same command runs undisturbed, and what it leaves is
compared with what an undisturbed run left. A command that refuses a damaged file in one sentence
loses its folder and starts over.

One JSON object a line: each trial, and at the end `exits` (statuses by command and disturbance),
`segmentation_faults`, `tracebacks`, `unequal` and `unfinished`, which all must be 0.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

SIGNALS = {
    "SIGKILL": signal.SIGKILL,
    "SIGTERM": signal.SIGTERM,
    "SIGINT": signal.SIGINT,
    "SIGHUP": signal.SIGHUP,
}
KINDS = (*SIGNALS, *SIGNALS, "full", "cut")
"""Signals twice as often as the others."""
TIMEOUT = 300.0  # s, after which a command hangs
_CRASHES = (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE)
_TIMED = ("date", "wall_s", "cpu_s", "seconds", "provenance", "resumed")
"""What may differ between equal results."""


@dataclass(frozen=True)
class Case:
    """A command, and what of its result has to be the same."""

    words: Callable[[Path], list[str]]
    """The command that writes into a folder."""
    compared: tuple[str, ...]
    """Patterns of files in the folder."""
    needs: tuple[str, ...] = ()
    """Cases whose undisturbed result it reads."""


@dataclass
class Soak:
    """Trials on results of undisturbed runs in one folder."""

    home: Path
    results: dict[str, dict[str, str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    exits: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    tracebacks: list[str] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)

    def cases(self) -> dict[str, Case]:
        """All commands, small enough to be repeated often."""
        data, run = self.home / "build" / "set", self.home / "train" / "run"
        minari = self.home / "export"
        ids = ["bodyplan/badger/suboptimal70-forward-v0"]
        return {
            "build": Case(
                lambda out: [
                    *("data", "build", "--out", str(out / "set"), "--robots", "badger", "bittle"),
                    *("--steps", "4000"),
                ],
                ("set/**/*",),
            ),
            "train": Case(
                lambda out: [
                    *("train", "--data", str(data), "--out", str(out / "run")),
                    *("--network", "tiny", "--batch-size", "16", "--updates", "600"),
                    *("--checkpoint-every", "200"),
                ],
                ("run/policy/policy.safetensors", "run/checkpoints/600.safetensors"),
                ("build",),
            ),
            "experts train": Case(
                lambda out: [
                    *("experts", "train", "bittle", "--out", str(out), "--steps", "30000"),
                    *("--snapshots", "2", "--episodes", "2"),
                ],
                ("bittle/forward.safetensors",),
            ),
            "export": Case(
                lambda out: ["data", "export", str(data), "--minari-root", str(out)],
                ("bodyplan/**/metadata.json",),
                ("build",),
            ),
            "import": Case(
                lambda out: [
                    *("data", "import-minari", *ids, "--minari-root", str(minari)),
                    *("--out", str(out / "set")),
                ],
                ("set/**/*",),
                ("build", "export"),
            ),
            "import logs": Case(
                lambda out: [
                    *("data", "import", str(_logs(data, out / "mapping.toml"))),
                    *("--out", str(out / "set")),
                ],
                ("set/**/*",),
                ("build",),
            ),
            "evaluate": Case(
                lambda out: ["evaluate", str(_copied(run, out / "run")), "--episodes", "2"],
                ("run/evaluation.json",),
                ("build", "train"),
            ),
            "report": Case(
                lambda out: [
                    *("report", str(_copied(run, out / "run")), "--no-films"),
                ],
                ("run/report.html",),
                ("build", "train"),
            ),
        }

    def prepare(self, name: str) -> None:
        """Run a case undisturbed, after those that it needs."""
        case = self.cases()[name]
        for needed in case.needs:
            if needed not in self.results:
                self.prepare(needed)
        out = self.home / name
        out.mkdir(parents=True)
        began = time.monotonic()
        status, error = run_command(case.words(out))
        if status:
            raise SystemExit(f"{name} fails undisturbed: {error}")
        self.seconds[name] = time.monotonic() - began
        self.results[name] = contents(out, case.compared)

    def trial(self, name: str, number: int, seed: int) -> None:
        """One command, disturbed and then finished."""
        rng = random.Random(f"{seed}/{number}")
        case, out = self.cases()[name], self.home / f"trial{number}"
        out.mkdir()
        disturbed: list[str] = []
        for _ in range(rng.randint(1, 3)):
            kind = rng.choice(KINDS)
            after = rng.uniform(0.0, 1.05 * self.seconds[name])
            limit = int(10 ** rng.uniform(3.0, 6.0)) if kind == "full" else None
            number_of = SIGNALS.get(kind, signal.SIGKILL if kind == "cut" else None)
            status, error = run_command(case.words(out), after, number_of, limit)
            if kind == "cut" and status:  # what is finished is no longer the command's to mend
                cut_a_file(out, rng)
            disturbed.append(f"{kind} {status}")
            self._note(name, kind, status, error)
        for _ in range(2):
            status, error = run_command(case.words(out))
            self._note(name, "undisturbed", status, error)
            if status == 2:  # refused, as damaged files are; a user removes them
                disturbed.append(f"refused: {error.splitlines()[-1]}")
                shutil.rmtree(out)
                out.mkdir()
            else:
                break
        equal = status == 0 and contents(out, case.compared) == self.results[name]
        if status:
            self.unfinished.append(f"{name} {disturbed}: {error[-300:]}")
        elif not equal:
            self.unequal.append(f"{name} {disturbed}")
        shutil.rmtree(out)
        say({"command": name, "disturbed": disturbed, "status": status, "equal": equal})

    def _note(self, name: str, kind: str, status: int, error: str) -> None:
        self.exits[f"{name}/{kind}/{status}"] += 1
        self.crashes += status in _CRASHES
        if "Traceback" in error:
            self.tracebacks.append(f"{name} {kind}: {error[-600:]}")

    def summary(self) -> dict[str, object]:
        """The last line."""
        of_kind = Counter(key.split("/")[1] for key in self.exits.elements())
        return {
            "disturbances": sum(count for kind, count in of_kind.items() if kind != "undisturbed"),
            "by_kind": dict(of_kind),
            "exits": dict(sorted(self.exits.items())),
            "segmentation_faults": self.crashes,
            "tracebacks": self.tracebacks,
            "unequal": self.unequal,
            "unfinished": self.unfinished,
        }


def _copied(run: Path, to: Path) -> Path:
    """A copy of a run's folder, once."""
    if not to.is_dir():
        shutil.copytree(run, to, ignore=shutil.ignore_patterns("checkpoints"))
    return to


def _logs(dataset: Path, mapping: Path) -> Path:
    """A mapping file beside the arrays of a built dataset, as of a user's own logs."""
    if not mapping.is_file():
        found = {path.stem: np.load(path) for path in (dataset / "badger").glob("*.npy")}
        steps = np.arange(len(found["actions"]))
        frames = steps + np.searchsorted(found["episode_ends"], steps, side="right")
        arrays = {
            **{name: found[name][frames].reshape(len(steps), -1) for name in ("joints", "feet")},
            "general": found["general"][frames],
            "actions": found["actions"],
            "rewards": found["rewards"],
            "terminated": found["terminated"],
            "truncated": found["truncated"],
        }
        np.savez(mapping.with_name("log.npz"), **arrays)
        names = "".join(f'{name} = "{name}"\n' for name in arrays)
        mapping.write_text(f'[[robots]]\nrobot = "badger"\nfiles = "log.npz"\n{names}')
    return mapping


def run_command(
    words: Sequence[str],
    after: float | None = None,
    number: signal.Signals | None = None,
    limit: int | None = None,
) -> tuple[int, str]:
    """Exit status and standard error of a command; a signal comes after so many seconds.

    Args:
        words: the command without `bodyplan`.
        after: seconds.
        number: the signal; none where it ends before.
        limit: bytes that a file may have.
    """
    for ignored in (signal.SIGINT, signal.SIGHUP):  # as by nohup or a shell; programs inherit it
        if signal.getsignal(ignored) is signal.SIG_IGN:
            signal.signal(ignored, signal.SIG_DFL)
    with subprocess.Popen(
        [sys.executable, "-m", "bodyplan", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        if limit is not None:
            resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (limit, limit))
        try:
            _, error = running.communicate(timeout=TIMEOUT if number is None else after)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, number or signal.SIGKILL)
            try:
                _, error = running.communicate(timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                return -signal.SIGKILL, "hangs"
    return running.returncode, error


def cut_a_file(folder: Path, rng: random.Random) -> None:
    """Cut short one of the files that are there, as a crash of the machine can."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if files:
        path = rng.choice(files)
        os.truncate(path, rng.randrange(path.stat().st_size + 1))


def contents(folder: Path, patterns: Sequence[str]) -> dict[str, str]:
    """Checksums of the files that are compared; of JSON without dates and times."""
    place = str(folder).encode()  # which a page names in the commands that repeat it
    return {
        str(path.relative_to(folder)): sha256(_lasting(path).replace(place, b"")).hexdigest()
        for pattern in patterns
        for path in folder.glob(pattern)
        if path.is_file() and not path.name.startswith(".")
    }


def _lasting(path: Path) -> bytes:
    if path.name == "provenance.json":
        return b""
    if path.suffix != ".json":
        return path.read_bytes()

    def without_times(entries: list[tuple[str, object]]) -> dict[str, object]:
        return {name: own for name, own in entries if name not in _TIMED}

    document = json.loads(path.read_bytes(), object_pairs_hook=without_times)
    return json.dumps(document, sort_keys=True).encode()


def say(line: object) -> None:
    """One line of the outcome."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def soak(
    home: Path, seconds: float, commands: Sequence[str], seed: int = 0, workers: int = 2
) -> dict[str, object]:
    """Trials for so many seconds, after the undisturbed runs; returns the last line."""
    state = Soak(home)
    for name in commands:
        if name not in state.results:
            state.prepare(name)
    end = time.monotonic() + seconds

    def names() -> Iterator[tuple[int, str]]:
        number = 0
        while time.monotonic() < end:
            yield number, commands[number % len(commands)]
            number += 1

    waiting = names()

    def work(_: int) -> None:
        while (next_trial := next(waiting, None)) is not None:
            number, name = next_trial
            state.trial(name, number, seed)

    if workers == 1:
        work(0)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, range(workers)))
    return state.summary()


def main() -> int:
    """Soak, and print."""
    every = list(Soak(Path()).cases())
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--commands", nargs="+", choices=every, default=every)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        found = soak(
            Path(home),
            60.0 * arguments.minutes,
            arguments.commands,
            arguments.seed,
            arguments.workers,
        )
    say(found)
    wrong = ("segmentation_faults", "tracebacks", "unequal", "unfinished")
    return int(any(found[name] for name in wrong))


if __name__ == "__main__":
    sys.exit(main())
