"""The chart and the calculator of ``concilium costs``."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from concilium.cli.app import run
from concilium.cli.errors import USAGE, CliError
from concilium.cli.plot import bar_chart, write_svg


def test_the_chart_has_a_bar_for_each_sum_as_long_as_it_is_large() -> None:
    found = ET.fromstring(
        bar_chart(
            "Costs <all> & more",
            [("home", Decimal(4), "4.0000"), ("gpu\x00<1>", Decimal(1), "1"), ("x", Decimal(0), "0")],
        )
    )
    bars = [float(rect.attrib["width"]) for rect in found.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert bars == [400.0, 100.0, 0.0]
    texts = [text.text for text in found.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[:3] == ["Costs <all> & more", "home", "4.0000"]
    assert "gpu<1>" in texts


def test_a_chart_without_sums_is_a_chart() -> None:
    assert ET.fromstring(bar_chart("nothing", [])).attrib["width"] == "800"


def test_only_an_svg_file_is_written(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"\.svg"):
        write_svg(tmp_path / "costs.png", "")
    with pytest.raises(CliError, match="cannot write"):
        write_svg(tmp_path / "none" / "costs.svg", "")


def test_the_calculator_prints_the_reference_figures_without_a_mesh(capfd: pytest.CaptureFixture[str]) -> None:
    offers = ["--per-hour", "0.69", "--per-hour", "0.35", "--per-hour", "0.18"]
    assert run(["costs", "estimate", *offers]) == 0
    lines = dict(line.split("\t") for line in capfd.readouterr().out.splitlines())
    assert lines["parameters"] == "30.53 billion"
    assert lines["weights in bf16"] == "61.06 GB"
    assert lines["KV cache a token"] == "96 KiB"
    assert lines["LoRA r=16 on attention"] == "27 MB"
    assert [lines[f"{price} an hour, 720 h"] for price in ("0.69", "0.35", "0.18")] == [
        "497 a month",
        "252 a month",
        "130 a month",
    ]


def test_the_calculators_json_holds_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["costs", "estimate", "--json", "--experts", "16", "--tokens", "1000"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kv"], list(found["active"])) == (98_304_000, ["16"])


@pytest.mark.parametrize(
    "wrong", [["--experts", "129"], ["--per-hour", "-1"], ["--per-hour", "NaN"], ["--per-hour", "cheap"]]
)
def test_the_calculator_refuses_what_makes_no_sense(wrong: list[str]) -> None:
    assert run(["costs", "estimate", *wrong]) == USAGE


def test_a_wrong_price_is_named_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text("nodes: {home: {per_hour: -1}}")
    environ = {"CONCILIUM_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-m", "concilium.cli", "up"]
    found = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert (found.returncode, "nodes.home.per_hour" in found.stderr) == (USAGE, True), found.stderr
    assert not list(tmp_path.glob("run/*.pid"))
