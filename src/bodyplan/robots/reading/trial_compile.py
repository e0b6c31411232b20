"""Trial compile: MuJoCo compiles a model in a process of its own first, with limited resources.

Decoders of meshes and images, hulls and flexible bodies may take minutes, gigabytes, or the process
with them. Such a model is compiled here only after a child has shown that this is safe.
"""

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from bodyplan.errors import BodyplanError
from bodyplan.robots.reading.xml_elements import Element

SECONDS = 60
MEMORY = 4 << 30
"""Bytes of address space."""
PLAIN_ELEMENTS = 2_000
"""A model of so many plain elements compiles in no time."""
RISKY = ("skin", "flexcomp", "flex", "muscle", "lengthrange")
FILES = ("mesh", "hfield", "texture")
CHILD = """
import json, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
    resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except ImportError:  # Windows has no such limits; the parent's timeout remains
    pass
import mujoco
text, *names = json.load(sys.stdin)
assets = {{name: open(file, "rb").read() for name, file in names}}
try:
    mujoco.MjSpec.from_string(text, assets=assets).compile()
except ValueError:
    pass  # the parent will see the same, and says it
"""


def is_risky(root: Element) -> bool:
    """Whether a model must be compiled on trial first."""
    files = [
        own for own in root.all(*FILES) if any(key.startswith("file") for key in own.attributes)
    ]
    return bool(files or root.all(*RISKY)) or len(list(root.walk())) > PLAIN_ELEMENTS


def try_compile(path: Path, text: str, assets: dict[str, bytes]) -> None:
    """Compile a model in a process of its own.

    Args:
        path: of the model, for the message.
        text: its MJCF or URDF.
        assets: files that are only in memory.

    Raises:
        BodyplanError: it takes too long, too much memory, or crashes.
    """
    reason = _trial(text, tuple(assets.items()))
    if reason:
        raise BodyplanError(f"{path} {reason}; simplify its meshes, or leave them out")


@lru_cache(maxsize=4)
def _trial(text: str, assets: tuple[tuple[str, bytes], ...]) -> str:
    """What went wrong, empty where nothing did."""
    with TemporaryDirectory() as folder:
        names = []
        for number, (name, content) in enumerate(assets):
            file = Path(folder) / str(number)
            file.write_bytes(content)
            names.append([name, str(file)])
        # -P: the current folder may be the robot's, and its Python files are not ours.
        command = [sys.executable, "-P", "-c", CHILD.format(memory=MEMORY, seconds=SECONDS)]
        try:
            child = subprocess.run(
                command,
                input=json.dumps([text, *names]).encode(),
                capture_output=True,
                timeout=2 * SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"does not compile within {SECONDS} s"
    if child.returncode == 0:
        return ""
    if b"MemoryError" in child.stderr or b"allocate" in child.stderr:
        return f"does not compile within {MEMORY >> 30} GB"
    if child.returncode < 0:
        return f"does not compile within {SECONDS} s and {MEMORY >> 30} GB, or crashes MuJoCo"
    return "crashes MuJoCo's compiler"
