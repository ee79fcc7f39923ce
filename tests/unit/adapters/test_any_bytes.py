"""Any bytes in the place of any file: a bundle opens or is refused, and nothing else happens, in bounded memory."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import safetensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from concilium.adapters import lora_config, strict_json
from concilium.adapters.base_model import BaseModelFacts
from concilium.adapters.bundle import Bundle, open_bundle
from concilium.adapters.folder import opened
from concilium.adapters.header import HEADER_BYTES, Tensor, read_header
from concilium.adapters.refusals import BundleRefused
from concilium.contracts.adapters import CONFIG, LICENSE, MANIFEST, README, REPORT, WEIGHTS
from support.adapters import make_base, make_bundle, peft_config, reseal, write_raw

FUZZ = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
MIB = 2**20

numbers = st.one_of(st.integers(-2, 70), st.integers(2**31, 2**80), st.floats(), st.booleans(), st.none(), st.text())
leaves = st.one_of(numbers, st.sampled_from(["F32", "F16", "BF16", "I8", "f32", "F4", "dtype"]))
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
plain_tensors = st.builds(
    lambda dtype, shape, begin, more: {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + more]},
    st.sampled_from(["F32", "F16", "BF16", "U8", "BOOL"]),
    st.lists(st.integers(0, 4), max_size=3),
    st.integers(0, 64),
    st.integers(-4, 64),
)
headers = st.dictionaries(st.sampled_from(["a", "b.c", "__metadata__", "", "а"]) | st.text(), plain_tensors | values)


@st.composite
def fitting(draw: st.DrawFn) -> tuple[bytes, int]:
    """Return a header whose offsets cover its data, and how much data."""
    sizes = draw(st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=1, max_size=4))
    found: dict[str, Any] = {}
    at = 0
    for place, shape in enumerate(sizes):
        width = {"F32": 4, "F16": 2, "U8": 1}
        dtype = draw(st.sampled_from(sorted(width)))
        count = width[dtype]
        for size in shape:
            count *= size
        found[f"t{place}"] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + count]}
        at += count
    return json.dumps(found).encode(), at


def header_of(folder: Path) -> dict[str, Tensor] | None:
    with opened(folder, WEIGHTS, 2**30) as file:
        try:
            return read_header(file)
        except BundleRefused:
            return None


def library(path: Path) -> dict[str, tuple[str, tuple[int, ...]]] | None:
    """Return what the library that engines use reads, or None when it refuses."""
    try:
        found = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError:
        return None
    return {name: (tensor["dtype"], tuple(tensor["shape"])) for name, tensor in found}


@FUZZ
@given(header=headers | values, size=st.integers(0, 64), cut=st.integers(-3, 3))
def test_any_header_is_read_or_refused(tmp_path: Path, header: Any, size: int, cut: int) -> None:
    text = json.dumps(header).encode()
    write_raw(tmp_path / WEIGHTS, text, bytes(size), max(0, len(text) + cut))
    found = header_of(tmp_path)
    assert found is None or library(tmp_path / WEIGHTS) is not None, "we take what the library does not"


@FUZZ
@given(made=fitting())
def test_a_sound_header_means_the_same_to_us_and_to_the_library(tmp_path: Path, made: tuple[bytes, int]) -> None:
    write_raw(tmp_path / WEIGHTS, made[0], bytes(made[1]))
    ours, theirs = header_of(tmp_path), library(tmp_path / WEIGHTS)
    assert ours is not None
    assert theirs == {name: (tensor.dtype, tensor.shape) for name, tensor in ours.items()}


@FUZZ
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_header_or_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / WEIGHTS).write_bytes(data)
    header_of(tmp_path)


@FUZZ
@given(data=st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_json_or_refused(data: bytes) -> None:
    try:
        found = strict_json.load(data, "x.json")
    except BundleRefused:
        return
    assert json.loads(strict_json.dump(found)) == found


@FUZZ
@given(name=st.sampled_from(sorted(peft_config())), value=values)
def test_any_value_in_a_configuration_is_read_or_refused(name: str, value: Any) -> None:
    data = json.dumps({**peft_config(), name: value}).encode()
    try:
        found = lora_config.parse(data)
    except BundleRefused:
        return
    assert found.scale("model.layers.0.self_attn.q_proj") > 0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, BaseModelFacts]:
    folder = tmp_path_factory.mktemp("shared")
    base = make_base(folder / "base")
    return make_bundle(folder / "sport", base), base


@FUZZ
@given(
    name=st.sampled_from([WEIGHTS, CONFIG, MANIFEST, REPORT, LICENSE, README]),
    at=st.floats(0, 1),
    data=st.binary(max_size=12),
    cut=st.integers(0, 12),
    sealed=st.booleans(),
)
def test_a_bundle_with_any_bytes_changed_opens_or_is_refused(
    shared: tuple[Bundle, BaseModelFacts], name: str, at: float, data: bytes, cut: int, sealed: bool
) -> None:
    bundle, base = shared
    before = {one: (bundle.folder / one).read_bytes() for one in (name, MANIFEST)}
    place = int(at * len(before[name]))
    (bundle.folder / name).write_bytes(before[name][:place] + data + before[name][place + cut :])
    try:
        if sealed and name != MANIFEST:
            reseal(bundle.folder)
        found = open_bundle(bundle.folder, base)
        assert sealed or name == MANIFEST or (bundle.folder / name).read_bytes() == before[name]
        assert found.manifest.rank == found.config.r
    except BundleRefused:
        pass
    finally:
        for one, content in before.items():
            (bundle.folder / one).write_bytes(content)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":' + b"[" * (HEADER_BYTES - 5),
        b'{"a":[' + b"[]," * (HEADER_BYTES // 3 - 3) + b"[]]}",
        b'{"a":"' + b"\\" * (HEADER_BYTES - 6),
        b"{" + b" " * (HEADER_BYTES - 1),
        b'{"a":' + b"9" * (HEADER_BYTES - 5),
        b"{" + b",".join(b'"%d":{}' % at for at in range(1_500_000)) + b"}",
    ],
    ids=["deep", "many lists", "escapes", "spaces", "a long number", "many tensors"],
)
def test_a_hostile_header_takes_little_memory(tmp_path: Path, text: bytes) -> None:
    write_raw(tmp_path / WEIGHTS, text, b"")
    tracemalloc.start()
    try:
        assert header_of(tmp_path) is None
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 6 * HEADER_BYTES, f"{most / MIB:.0f} MiB"
