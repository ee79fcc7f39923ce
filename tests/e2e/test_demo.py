"""The demo is the promise to a newcomer: one command, every result, nothing left running."""

import json
import subprocess
import sys
import wave
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEMO_S = 300


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEMO_S,
        check=False,
    )


def supervisors() -> list[str]:
    """Command lines of supervisors that run a demo's home of this checkout."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"CONCILIUM_HOME={ROOT}/build/demo-home".encode() in environ.read_bytes():
                found.append((environ.parent / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_the_demo_leaves_text_script_output_and_speech_and_stops_what_it_started(tmp_path: Path) -> None:
    done = demo("--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {
        "answer.txt",
        "invoice-text.txt",
        "script-output.txt",
        "speech.wav",
        "minutes/answer.txt",
        "minutes/minutes-text.txt",
        "minutes/speech.wav",
    }
    assert "6,795.12" in (tmp_path / "invoice-text.txt").read_text(encoding="utf-8")
    assert "6795.12 pounds" in (tmp_path / "script-output.txt").read_text(encoding="utf-8")
    minutes = (tmp_path / "minutes" / "minutes-text.txt").read_text(encoding="utf-8")
    assert minutes.index("bicycle cellar") < minutes.index("4,725 pounds")
    for folder in (tmp_path, tmp_path / "minutes"):
        with wave.open(str(folder / "speech.wav"), "rb") as sound:
            assert sound.getnframes() > sound.getframerate()
    for skill in ("vision.ocr", "code.run", "tts.speak", "document.extract", "document.merge"):
        assert f"{skill} completed on home in" in done.stderr
    assert not supervisors()


def test_a_kept_mesh_says_where_it_is_and_is_stopped_by_the_command_it_names(tmp_path: Path) -> None:
    kept = demo("--keep", "--out", str(tmp_path))
    assert kept.returncode == 0, kept.stdout + kept.stderr
    command = next(line for line in kept.stdout.splitlines() if line.startswith("Stop it: ")).split()
    environ, concilium = command[2], str(Path(sys.executable).parent / "concilium")
    try:
        status = subprocess.run(
            ["env", environ, concilium, "status", "--json"], capture_output=True, text=True, check=False
        )
        assert status.returncode == 0, status.stdout
        addresses = {entry["address"] for entry in json.loads(status.stdout)["processes"] if entry["address"]}
        assert all(address in kept.stdout for address in addresses)
        again = demo("--out", str(tmp_path))
        assert again.returncode == 0, again.stdout + again.stderr
        assert "runs already" in again.stderr
        assert supervisors()
    finally:
        subprocess.run(["env", environ, concilium, "down"], capture_output=True, check=True)
    assert not supervisors()
