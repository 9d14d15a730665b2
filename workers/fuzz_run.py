"""Builds the fuzz targets of `tests/fuzz` with sanitizers and runs them.

With clang a target is a libFuzzer program. With another compiler it is driven by our own
coverage-guided loop (`tests/fuzz/driver.cpp`), so that address and undefined-behaviour sanitizers
run wherever the core can be built at all. What is compiled is kept in `build/fuzz` under the hash
of what went into it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from infra.embedded.server import die_with_parent

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "fuzz"
_TARGETS = ROOT / "tests" / "fuzz"
_CORE = ROOT / "matching" / "core"
_SERVER = ROOT / "matching" / "server"
_NOT_ENGINE = ("bindings.cpp", "risk_bindings.cpp", "benchmark.cpp")
TARGETS = ("core", "frames")
_UNITS = 2  # compilations of the core: most of each is the same headers, read and made again
_COMMON = (
    *("-std=gnu++20", "-fno-omit-frame-pointer", "-D_GLIBCXX_ASSERTIONS"),
    *("-Wall", "-Wextra", "-Wno-missing-field-initializers"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)
_SLOW_BUILD = ("-O1", "-g1")  # finds as much sooner, and names the line
_QUICK_BUILD = ("-O0",)  # compiles in half the time
_SANITIZERS = "abort_on_error=1:detect_leaks=0:print_stacktrace=1"
_MAX_INPUT_BYTES = 16_384
_STATUS = re.compile(r"#(?P<runs>\d+)\s.*cov: (?P<places>\d+)")
_TOTAL = re.compile(r"\((?P<total>\d+) inline 8-bit counters\)")
_WRITTEN = re.compile(r"Test unit written to (?P<path>\S+)")
_TIMEOUT = "-timeout=20"  # seconds for one input: a loop without end is a finding, too
_ERRORS = ("ERROR: ", "runtime error: ", "broken rule: ", "terminate called", "Assertion ")


class FuzzError(RuntimeError):
    """The target cannot be built or run here."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C++ compiler and whether it brings libFuzzer."""

    command: str
    has_libfuzzer: bool


@dataclass(slots=True)
class Report:
    """What a run found; `places` are the covered ones of `all_places` (0: nobody counted)."""

    target: str
    compiler: str
    driver: str
    seconds: float = 0.0
    runs: int = 0
    places: int = 0
    all_places: int = 0
    findings: list[dict[str, str]] = field(default_factory=list)


def find_compiler(wanted: str | None = None) -> Compiler:
    """Return the wanted compiler, else clang, else the system's; `FuzzError` without any."""
    for command in (wanted,) if wanted else ("clang++", "c++", "g++"):
        if shutil.which(command):
            return Compiler(command, _has_libfuzzer(command))
    raise FuzzError(f"{wanted or 'a C++ compiler'} is not installed here")


def _has_libfuzzer(command: str) -> bool:
    program = 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }'
    with tempfile.TemporaryDirectory(prefix="rialto-") as folder:
        done = subprocess.run(  # noqa: S603 - a compiler
            [command, "-fsanitize=fuzzer,address", "-x", "c++", "-", "-o", f"{folder}/probe"],
            input=program,
            text=True,
            capture_output=True,
            check=False,
        )
    return done.returncode == 0


def build(compiler: Compiler, target: str = "core", *, quick: bool = False) -> Path:
    """Return the program of a target, compiled now or before; else `FuzzError`.

    A `quick` one is compiled as one unit and as it stands: for a run of seconds.
    """
    common = [*(_QUICK_BUILD if quick else _SLOW_BUILD), *_COMMON]
    units = [[_SERVER / name] for name in ("connection.cpp", "files.cpp")]
    if target == "core":
        files = [path for path in sorted(_CORE.glob("*.cpp")) if path.name not in _NOT_ENGINE]
        units = [files[number::_UNITS] for number in range(_UNITS)]
    units.append([_TARGETS / f"{target}.cpp"])
    if quick:
        units = [list(chain(*units))]
    inside = ["-fsanitize-coverage=trace-pc"]
    link = list(common)
    if compiler.has_libfuzzer:
        inside = ["-fsanitize=fuzzer-no-link"]
        link.append("-fsanitize=fuzzer")
    jobs = [(unit, [*common, *inside]) for unit in units]
    if not compiler.has_libfuzzer:
        jobs.append(([_TARGETS / "driver.cpp"], common))
    headers = sorted(path for folder in _includes() for path in folder.glob("*.hpp"))
    base = _hash(_version(compiler), *(path.read_bytes() for path in headers))
    with _locked(FOLDER):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(lambda job: _compile(compiler, base, *job), jobs))
        program = FOLDER / f"target-{_hash(*(path.name.encode() for path in objects))}"
        if not program.exists():
            _make([compiler.command, *link, *map(str, objects)], program)
    return program


def _includes() -> tuple[Path, ...]:
    return (_CORE, _TARGETS, _SERVER, _CORE.parent)


def _hash(*parts: bytes) -> str:
    return hashlib.blake2b(b"\0".join(parts), digest_size=8).hexdigest()


def _version(compiler: Compiler) -> bytes:
    command = [compiler.command, "--version"]
    return subprocess.run(command, capture_output=True, check=False).stdout  # noqa: S603 - ditto


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time build in a folder."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _compile(compiler: Compiler, base: str, unit: list[Path], flags: list[str]) -> Path:
    """Return the object of some sources, made before from the same files and flags or now."""
    texts = [path.read_bytes() for path in unit]
    key = _hash(base.encode(), repr(flags).encode(), *texts)
    made = FOLDER / f"{unit[0].stem}-{key}.o"
    if not made.exists():
        include = [f"-I{folder}" for folder in _includes()]
        lines = "".join(f'#include "{path}"\n' for path in unit)
        command = [compiler.command, *flags, *include, "-x", "c++", "-c", "-"]
        _make(command, made, lines)
    return made


def _make(command: list[str], made: Path, source: str = "") -> None:
    """Run a compiler; its output is there whole or not at all."""
    fresh = made.with_suffix(".new")
    _call([*command, "-o", str(fresh)], source)
    fresh.replace(made)


def _call(command: list[str], given: str = "") -> None:
    done = subprocess.run(  # noqa: S603 - ours
        command, input=given, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise FuzzError(f"{' '.join(command)}\n{done.stderr[-4000:]}")


def write_seeds(folder: Path, target: str = "core") -> None:
    """Write a target's seeds into `folder`."""
    _call([sys.executable, "-m", "tests.fuzz.seeds", target, str(folder)])


def run(
    compiler: Compiler,
    *,
    seconds: int,
    seed: int,
    findings: Path,
    target: str = "core",
    corpus: Path | None = None,
    progress: Callable[[int, int], None] = lambda _runs, _places: None,
    quick: bool = False,
) -> Report:
    """Fuzz for `seconds`; inputs that break a rule go to `findings`, new ones to `corpus`."""
    program = build(compiler, target, quick=quick)
    findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rialto-") as folder:
        seeds = Path(folder) / "seeds"
        write_seeds(seeds, target)
        fresh = corpus or Path(folder) / "corpus"
        fresh.mkdir(parents=True, exist_ok=True)
        options = [f"-max_total_time={seconds}", f"-max_len={_MAX_INPUT_BYTES}", f"-seed={seed}"]
        options.append(_TIMEOUT)
        return _watch(
            compiler,
            target,
            [str(program), *options, f"-artifact_prefix={findings}/", str(fresh), str(seeds)],
            progress,
        )


def reproduce(
    compiler: Compiler, path: Path, target: str = "core", *, quick: bool = False
) -> Report:
    """Run one input; what it breaks is the report's finding."""
    program = build(compiler, target, quick=quick)
    return _watch(
        compiler, target, [str(program), _TIMEOUT, str(path)], lambda _runs, _places: None
    )


def _watch(
    compiler: Compiler, target: str, command: list[str], progress: Callable[[int, int], None]
) -> Report:
    report = Report(target, compiler.command, "libFuzzer" if compiler.has_libfuzzer else "own")
    started = time.monotonic()
    said: list[str] = []
    kept = ""
    process = subprocess.Popen(  # noqa: S603 - our own target
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "ASAN_OPTIONS": _SANITIZERS, "UBSAN_OPTIONS": _SANITIZERS},
        cwd=ROOT,
        preexec_fn=die_with_parent,  # whoever ends this ends it
    )
    assert process.stderr is not None
    for line in process.stderr:
        if found := _STATUS.search(line):
            report.runs, report.places = int(found["runs"]), int(found["places"])
            progress(report.runs, report.places)
        elif found := _TOTAL.search(line):
            report.all_places = int(found["total"])
        elif found := _WRITTEN.search(line):
            kept = found["path"]
        elif any(word in line for word in _ERRORS):
            said.append(line.strip())
    code = process.wait()
    report.seconds = round(time.monotonic() - started, 1)
    if code != 0:
        said = said or [f"the target ended with code {code}"]
        path = kept or command[-1]
        report.findings.append(
            {
                "error": said[0],
                "input": path,
                "reproduce": f"rialto fuzz --target {target} --input {path}",
            }
        )
    return report
