"""Compile the modules of `streams.native`, unless they are. One line says what was done, or what is lacking.

`python scripts/compile.py`. The sources stay as they are; what comes of them goes to `build/native`. It never fails:
all of it runs as source too, exactly alike.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["TIDEWATCH_PURE"] = "1"  # what is there is not to be used for making it anew

from streams.native import BESIDE, BUILT, HERE, LIBRARY, MODULES, place  # noqa: E402 - found by the line above

KEPT = 3
"""Builds that stay: whoever goes back and forth between states of the sources compiles each once."""
WITHIN_S = 900
INTO = "--into"


def main() -> None:
    """Compile, or say why all of it runs as source."""
    built = place()
    if built.exists():
        os.utime(built)
        return
    wrong = _lacks()
    if not wrong:
        _say("compiling what runs for every event (a minute, once)")
        wrong = _made(built)
    if wrong:
        _say(f"{wrong}: the worker runs as source, exactly alike and slower")
    for old in sorted(BUILT.glob("[!.]*"), key=lambda one: one.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _say(line: str) -> None:
    sys.stdout.write(f"setup: {line}\n")
    sys.stdout.flush()


def _lacks() -> str:
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"no C compiler ({compiler})"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "no headers of this Python (Python.h)"
    try:
        import mypyc.build  # noqa: F401 - whether it is there
    except ImportError:
        return "no mypyc"
    return ""


def _made(built: Path) -> str:
    """Make it aside and put it in place whole. Returns what went wrong."""
    BUILT.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".making-", dir=BUILT))
    try:
        command = [sys.executable, __file__, INTO, str(aside)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S, check=False)
        if done.returncode:
            lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            return next((line for line in lines if "error" in line), lines[-1] if lines else "compiling failed")
        (aside / "made").rename(built)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "" if built.exists() else f"compiling failed ({type(error).__name__})"  # another setup may be faster
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return ""


def compile_into(aside: Path) -> None:
    """The libraries, in `aside/made`. Run in a process of its own."""
    from mypyc.build import mypycify
    from setuptools import Extension, setup

    options = ["--ignore-missing-imports", "--follow-imports=silent", f"--cache-dir={aside / 'cache'}"]
    sources = [str((HERE / f"{name}.py").relative_to(ROOT)) for name in MODULES]
    extensions = mypycify([*options, *sources], opt_level="2", target_dir=str(aside / "c"), group_name=LIBRARY)
    for extension in extensions:
        extension.extra_compile_args.append("-fno-semantic-interposition")  # their calls of each other are direct
    for name in BESIDE:
        source = str((HERE / f"{name}.c").relative_to(ROOT))
        extensions.append(Extension(f"streams._{name}", [source], extra_compile_args=["-O2"]))
    parts = ["build_ext", "--build-lib", str(aside / "made"), "--build-temp", str(aside / "temp")]
    setup(name="tidewatch-native", packages=[], ext_modules=extensions, script_args=["--quiet", *parts])


if __name__ == "__main__":
    if INTO in sys.argv:
        compile_into(Path(sys.argv[-1]))
    else:
        main()
