"""The modules that run for every event, compiled: the same source, for less of the processor (`docs/performance.md`).

`make setup` compiles them, where there is a C compiler, into a directory that carries the digest of all that went in.
It is used where that digest is the one of the sources as they are: a changed source runs as it is, never as it was.
"""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

MODULES = (
    "windows", "policy", "standing", "episode", "entries", "conversation", "packing", "gauges", "said", "line",
    "strides", "quick", "episode_row", "shard", "waits", "hashing", "heard",
)  # fmt: skip
"""What is compiled, as one library."""
ASKED = ("agents_log", "calendars", "copied", "events", "heads", "labels", "metrics", "near", "stamps")
"""What they import besides: it runs as it is, and they are compiled against its types."""
BESIDE = ("near", "heard")
"""What is written in C, and compiled beside them."""
COMPILED, SOURCE = "compiled", "as source"
PURE = "TIDEWATCH_PURE"
"""Environment: set, nothing compiled is used."""
LIBRARY = "tidewatch_fold"
_NAME = f"{LIBRARY}__mypyc"
"""By which each of the modules asks for what is common to them."""
HERE = Path(__file__).parent
BUILT = HERE.parent / "build" / "native"


def form() -> str:
    """How these modules run in this process: `COMPILED` or `SOURCE`."""
    return COMPILED if _NAME in sys.modules else SOURCE


def place() -> Path:
    """Where what is compiled from these very sources, for this very Python, is kept."""
    digest = sha256(f"{sys.version}\0{sysconfig.get_config_var('EXT_SUFFIX')}\0{platform.machine()}".encode())
    digest.update(Path(__file__).read_bytes())
    for name in (*MODULES, *ASKED):
        digest.update(b"\0%b\0%b" % (name.encode(), (HERE / f"{name}.py").read_bytes()))
    for name in BESIDE:
        digest.update((HERE / f"{name}.c").read_bytes())
    return BUILT / digest.hexdigest()[:24]


def take_up(path: list[str]) -> None:
    """Let the compiled modules be found before their sources, if they are there. `path`: the package's."""
    if os.environ.get(PURE) or not BUILT.is_dir():
        return
    built = place()
    library = built / f"{_NAME}{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not library.exists():
        return
    spec = spec_from_file_location(_NAME, library)
    if spec is None or spec.loader is None:
        return
    sys.modules[_NAME] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[_NAME])
    path.insert(0, str(built / HERE.name))
