"""Runs the tests in groups: every group whose parts are there or can be installed, and says which were not run.

    python scripts/test.py [--all] [group …]

Parts from PyPI are in the lock file and always there. Parts from the system are installed with apt-get when this runs
as root (``APT=0`` forbids it). With ``--all`` a group that was not run is a failure.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "build" / "reports"
PROCESSES = 4
"""Test processes side by side, at most: most tests wait for servers of their own, each a handful of processes."""


@dataclass(frozen=True)
class Part:
    """Something of the system that a group needs."""

    name: str
    present: Callable[[], bool]
    packages: tuple[str, ...]
    service: str = ""
    """What its installation may start by itself and is stopped: tests run their own."""

    @property
    def command(self) -> str:
        """The command that installs it."""
        return f"sudo apt-get install {' '.join(self.packages)}"


def on_path(*names: str) -> Callable[[], bool]:
    """Return a check that one of the programs is there."""
    return lambda: any(shutil.which(name) for name in names)


def tesseract_languages() -> bool:
    """Whether tesseract is there with English and Russian."""
    if not shutil.which("tesseract"):
        return False
    listed = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=False)
    return {"eng", "rus"} <= set(listed.stdout.split())


def festival_voices() -> bool:
    """Whether festival is there with the voices that are tested."""
    voices = Path("/usr/share/festival/voices")
    wanted = ("english/kal_diphone", "us/cmu_us_slt_arctic_hts", "russian/msu_ru_nsh_clunits")
    return bool(shutil.which("text2wave")) and all((voices / voice).is_dir() for voice in wanted)


BUBBLEWRAP = Part("bubblewrap", on_path("bwrap"), ("bubblewrap",))
TESSERACT = Part("tesseract", tesseract_languages, ("tesseract-ocr", "tesseract-ocr-eng", "tesseract-ocr-rus"))
DOCKERD = Part("docker", on_path("dockerd"), ("docker.io",))
COMPOSE = Part("docker-compose", on_path("docker-compose"), ("docker-compose",))
DEBOOTSTRAP = Part("debootstrap", on_path("debootstrap"), ("debootstrap", "iptables"))
RUNSC = Part("gvisor", on_path("runsc"), ("runsc",))
FLITE = Part("flite", on_path("flite"), ("flite",))
FESTIVAL = Part("festival", festival_voices, ("festival", "festvox-kallpc16k", "festvox-us-slt-hts", "festvox-ru"))
CHROMIUM = Part("chromium", on_path("chromium", "chromium-browser", "google-chrome"), ("chromium", "fonts-dejavu-core"))
PROMETHEUS = Part(
    "prometheus", lambda: all(map(shutil.which, ("prometheus", "promtool"))), ("prometheus",), "prometheus"
)
IPROUTE = Part("iproute2", on_path("ip"), ("iproute2",))
IPTABLES = Part("iptables", on_path("iptables"), ("iptables",))
FAKETIME = Part("faketime", on_path("faketime"), ("faketime",))
SSH = Part("ssh", on_path("ssh"), ("openssh-client",))


@dataclass(frozen=True)
class Group:
    """Tests that need the same parts."""

    name: str
    about: str
    paths: tuple[str, ...]
    needs: tuple[Part, ...] = ()
    only: str = ""
    """pytest's ``-k`` expression."""
    parallel: bool = False
    """Its files may run side by side: none uses what is there once only."""
    prepare: tuple[str, ...] = ()
    """A script of ours, with arguments, that makes what its tests need."""
    nightly: bool = False
    """Too long for every change: run when it is named, and by ``.ci/nightly``."""


@dataclass
class Outcome:
    """What came of a group."""

    group: Group
    ran: bool
    why: str = ""
    """Why it was not run, and the command that enables it."""
    passed: int = 0
    failed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """Skipped tests by reason."""
    seconds: float = 0.0


SANDBOX = ("tests/integration/code",)
DOCKER = ("tests/integration/docker",)
OCR = ("tests/integration/vision",)
SPEECH = ("tests/integration/tts",)
BROWSER = ("tests/integration/pages",)
DEMO = ("tests/e2e",)
HOME = ("tests/e2e/test_backup.py", "tests/e2e/test_power_loss.py", "tests/e2e/test_rotation.py")
CHAOS = ("tests/chaos",)
MODELS = ("tests/models",)
CONTRACT = ("tests/contract",)
STACK = ("tests/compose",)
NODES = ("tests/integration/nodes",)
N8N = ("tests/n8n",)
SEEING = ("tests/seeing",)
HOSTS = ("tests/hosts",)
PEFT = ("tests/peft",)

GROUPS = (
    Group("unit", "rooms by themselves", ("tests/unit",), parallel=True),
    Group(
        "sqlite",
        "real Redis, SQLite, agents as processes",
        ("tests/integration",),
        only="not postgres and not chromium",
        parallel=True,
    ),
    Group("postgres", "the same on PostgreSQL from a wheel", ("tests/integration",), only="postgres"),
    Group("sandbox", "scripts in every sandbox rung", SANDBOX, (BUBBLEWRAP,), parallel=True),
    Group("docker", "scripts in gVisor, and bubblewrap in a container", DOCKER, (DOCKERD, RUNSC, BUBBLEWRAP)),
    Group("ocr", "images with both OCR engines", OCR, (TESSERACT,), parallel=True),
    Group("speech", "speech with every engine, heard by a recogniser", SPEECH, (FLITE, FESTIVAL), parallel=True),
    Group("browser", "the task pages in Chromium", BROWSER, (CHROMIUM,)),
    Group("seeing", "a real Prometheus scrapes a mesh; rules and dashboards", SEEING, (PROMETHEUS,)),
    Group("contract", "what every agent keeps, and the tutorial as a person follows it", CONTRACT, parallel=True),
    Group("hosts", "other hosts behind slow, lossy and cut wires (as root)", HOSTS, (IPROUTE, IPTABLES, FAKETIME)),
    Group("models", "skills that ask a real served model", MODELS, prepare=("scripts/models_env.py",)),
    Group("peft", "adapters against real PyTorch and PEFT", PEFT, prepare=("scripts/peft_env.py",)),
    Group(
        "n8n",
        "real n8n, the oldest and the newest supported",
        N8N,
        (SSH,),
        prepare=("scripts/n8n_env.py",),
        nightly=True,
    ),
    Group("home", "homes lost and restored, power cuts, keys rotated under load", HOME, nightly=True),
    Group(
        "compose", "docker-compose.yml on a real Docker engine", STACK, (DOCKERD, COMPOSE, DEBOOTSTRAP), nightly=True
    ),
    Group("nodes", "rented machines that join, work, and lose their rights", NODES),
    Group("chaos", "a short run of kills, freezes and outages", CHAOS),
    Group("e2e", "the whole road as a newcomer walks it", DEMO),
)
OWN = (*SANDBOX, *DOCKER, *OCR, *SPEECH, *BROWSER, *NODES, *HOME)
"""Folders that the wide groups leave to the group they belong to."""


def main(arguments: Sequence[str]) -> int:
    """Run the groups and return 0 when all that had to pass did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="a group that is not run is a failure")
    parser.add_argument("groups", nargs="*", metavar="group", help=", ".join(group.name for group in GROUPS))
    options = parser.parse_args(arguments)
    unknown = set(options.groups) - {group.name for group in GROUPS}
    if unknown:
        parser.error(f"no group {', '.join(sorted(unknown))}")
    chosen = [group for group in GROUPS if group.name in options.groups or not (options.groups or group.nightly)]
    # All at once and first: what a group does not need but can use is then there, in the same state in every run.
    wanted = dict.fromkeys(part for group in chosen for part in group.needs)
    install([part for part in wanted if not part.present()])
    outcomes = [run(group) for group in chosen]
    report(outcomes)
    missing = options.all and any(not outcome.ran for outcome in outcomes)
    return 1 if missing or any(outcome.failed for outcome in outcomes) else 0


def run(group: Group) -> Outcome:
    """Run the tests of a group whose parts are there."""
    paths = [path for path in group.paths if (ROOT / path).exists()]
    if not paths:
        return Outcome(group, ran=False, why="no such tests in this checkout")
    absent = [part for part in group.needs if not part.present()]
    if absent:
        return Outcome(group, ran=False, why="; ".join(part.command for part in absent))
    print(f"\n=== {group.name}: {group.about} ===", flush=True)
    began = time.monotonic()
    if group.prepare and subprocess.run([sys.executable, *group.prepare], cwd=ROOT, check=False).returncode:
        return Outcome(group, ran=True, failed=1, seconds=time.monotonic() - began)
    xml = REPORTS / f"{group.name}.xml"
    xml.parent.mkdir(parents=True, exist_ok=True)
    xml.unlink(missing_ok=True)
    code = subprocess.run(command(group, paths, xml), cwd=ROOT, check=False).returncode
    outcome = read(group, xml, code)
    outcome.seconds = time.monotonic() - began
    return outcome


def command(group: Group, paths: Sequence[str], xml: Path) -> list[str]:
    """Return the pytest command of a group."""
    others = [f"--ignore={path}" for path in OWN if path not in group.paths and any(p in path for p in paths)]
    only = ["-k", group.only] if group.only else []
    spread = ["-n", "auto", "--maxprocesses", str(PROCESSES), "--dist", "loadfile"] if group.parallel else []
    return [sys.executable, "-m", "pytest", "-q", *others, *only, *spread, f"--junit-xml={xml}", *paths]


def read(group: Group, xml: Path, code: int) -> Outcome:
    """Return what pytest's report says; a run that ended without one, or badly, counts as one failure."""
    outcome = Outcome(group, ran=True)
    if not xml.is_file():
        outcome.failed = 1
        return outcome
    for case in ET.parse(xml).iter("testcase"):
        skip = case.find("skipped")
        if skip is not None:
            reason = skip.get("message") or "no reason given"
            outcome.skipped[reason] = outcome.skipped.get(reason, 0) + 1
        elif case.find("failure") is not None or case.find("error") is not None:
            outcome.failed += 1
        else:
            outcome.passed += 1
    if code == 5 or (code == 0 and not outcome.passed):  # pytest's code for "no tests collected"
        outcome.ran = False
        outcome.why = "; ".join(outcome.skipped) or "no such tests in this checkout"
    elif code and not outcome.failed:
        outcome.failed = 1
    return outcome


def install(parts: Sequence[Part]) -> None:
    """Install parts with apt-get when that is possible and allowed."""
    if not parts or os.geteuid() != 0 or os.environ.get("APT") == "0" or not shutil.which("apt-get"):
        return
    packages = [package for part in parts for package in part.packages]
    print(f"\n=== installing {' '.join(packages)} ===", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Another installation may run: wait for its lock.
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300"]
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        subprocess.run([*apt, *arguments], env=environment, stdin=subprocess.DEVNULL, check=False)
    for service in (part.service for part in parts if part.service):
        subprocess.run(["service", service, "stop"], stdin=subprocess.DEVNULL, check=False)


def report(outcomes: Sequence[Outcome]) -> None:
    """Print the table of groups run and not run, and one line of sums."""
    print(f"\n{'group':<10} {'result':<8} {'passed':>6} {'failed':>6} {'skipped':>7} {'time':>7}")
    for outcome in outcomes:
        skipped = sum(outcome.skipped.values())
        result = "not run" if not outcome.ran else "failed" if outcome.failed else "passed"
        numbers = f"{outcome.passed:>6} {outcome.failed:>6} {skipped:>7} {outcome.seconds:>6.0f}s"
        print(f"{outcome.group.name:<10} {result:<8} {numbers}  {outcome.why}".rstrip())
        if outcome.ran:
            for reason, count in sorted(outcome.skipped.items()):
                print(f"{'':<10} skipped {count}: {reason}")
    nightly = " ".join(group.name for group in GROUPS if group.nightly)
    print(f'\nEvery night by .ci/nightly, or by name: make test GROUPS="{nightly}"')
    passed, failed = sum(o.passed for o in outcomes), sum(o.failed for o in outcomes)
    absent = sum(not o.ran for o in outcomes)
    print(f"\n{passed} passed, {failed} failed" + (f", {absent} groups not run" if absent else ""))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
