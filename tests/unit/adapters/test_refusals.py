"""Whatever is wrong with a bundle is refused under a code of its own, with words that say where and what to do.

Each case breaks one thing and seals the bundle again where that is needed, so that nothing else is wrong.
"""

import io
import json
import os
import pickle
import re
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from concilium.adapters.base_model import BaseModelFacts
from concilium.adapters.bundle import Bundle, open_bundle
from concilium.adapters.refusals import BundleRefused, Refusal
from concilium.contracts.adapters import CONFIG, MANIFEST, REPORT, WEIGHTS
from support.adapters import (
    lora_arrays,
    make_bundle,
    make_peft,
    replace_config,
    replace_weights,
    reseal,
    write_raw,
    write_safetensors,
)

Break = Callable[[Path], object]
Q = "base_model.model.model.layers.0.self_attn.q_proj"
README = "README.md"


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil()))
    return buffer.getvalue()


def put(name: str, data: bytes) -> Break:
    """Put bytes in the place of a file."""

    def change(folder: Path) -> None:
        (folder / name).write_bytes(data)
        reseal(folder)

    return change


def link(name: str, target: str) -> Break:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return change


def hard_link(folder: Path) -> None:
    os.link(folder / README, folder.parent / "elsewhere")


def pipe(folder: Path) -> None:
    (folder / README).unlink()
    os.mkfifo(folder / README)


def plug(folder: Path) -> None:
    (folder / README).unlink()
    here = Path.cwd()
    os.chdir(folder)  # a socket's address is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(README)
    finally:
        os.chdir(here)


def tensors(**changes: Any) -> Break:
    """Change tensors by the ends of their names; None removes one."""

    def change(folder: Path) -> None:
        found = lora_arrays()
        for end, value in changes.items():
            name = end if "." in end else f"{Q}.lora_{end}.weight"
            if value is None:
                del found[name]
            else:
                found[name] = value(found[name]) if callable(value) else value
        replace_weights(folder, found)

    return change


def whole(name: str) -> Break:
    return tensors(**{name: np.ones((4, 4), np.float32)})


def with_value(bits: int, dtype: str) -> Break:
    """Store all tensors as a type, and put one value's bits into the last place of one."""

    def change(folder: Path) -> None:
        found = lora_arrays()
        for name, array in found.items():
            found[name] = (array.view(np.uint32) >> 16).astype(np.uint16) if dtype == "uint16" else array.astype(dtype)
        unsigned = found[f"{Q}.lora_B.weight"].view(f"uint{found[f'{Q}.lora_B.weight'].itemsize * 8}")
        unsigned[-1, -1] = bits
        replace_weights(folder, found)

    return change


def header(change_it: Callable[[dict[str, Any]], object], more: bytes = b"") -> Break:
    """Change the header of the weights as JSON, and add bytes to their end."""

    def change(folder: Path) -> None:
        data = (folder / WEIGHTS).read_bytes()
        length = int.from_bytes(data[:8], "little")
        members = json.loads(data[8 : 8 + length])
        change_it(members)
        write_raw(folder / WEIGHTS, json.dumps(members).encode(), data[8 + length :] + more)
        reseal(folder)

    return change


def raw(text: bytes, length: int | None = None) -> Break:
    def change(folder: Path) -> None:
        write_raw(folder / WEIGHTS, text, b"", length)
        reseal(folder)

    return change


def config(**changes: Any) -> Break:
    return lambda folder: replace_config(folder, **changes)


def manifest(**changes: Any) -> Break:
    return lambda folder: reseal(folder, **changes)


def lists(name: str) -> Break:
    def change(folder: Path) -> None:
        files = json.loads((folder / MANIFEST).read_text())["files"]
        reseal(folder, files={**files, name: {"sha256": "0" * 64, "bytes": 1}})

    return change


def tampered(name: str) -> Break:
    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[-2] ^= 1
        (folder / name).write_bytes(data)

    return change


OFF = {"data_offsets": [0, 8]}
CASES: dict[str, tuple[str, Break]] = {
    # what lies in the folder
    "a file is missing": ("missing-file", lambda folder: (folder / README).unlink()),
    "a file too many": ("unknown-file", put("notes.txt", b"hello")),
    "tokenizer beside it": ("unknown-file", put("tokenizer.json", b"{}")),
    "a Cyrillic letter in a name": ("bad-name", put("\u0430dapter_config.json", b"{}")),
    "a name that is turned around": ("bad-name", put("x\u202egnp.json", b"{}")),
    "a line end in a name": ("bad-name", put("a\nb", b"")),
    "a name that is no Unicode": ("bad-name", lambda folder: Path(os.fsdecode(bytes(folder) + b"/\xff")).touch()),
    "a link to a file outside": ("symlink", link(README, "/etc/passwd")),
    "a link to nothing": ("symlink", link("extra", "/nowhere")),
    "a link inside": ("symlink", link("LICENSE", README)),
    "a second name outside": ("hard-link", hard_link),
    "a pipe": ("special-file", pipe),
    "a socket": ("special-file", plug),
    "a folder": ("subfolder", lambda folder: (folder / "checkpoint-1").mkdir()),
    "a text over its limit": ("too-large", put(README, b"a" * (2**20 + 1))),
    "a path in the manifest": ("path-outside", lists("../../etc/passwd")),
    "a Windows path in the manifest": ("path-outside", lists("..\\secret")),
    # pickles, whatever they are called
    "a pickle": ("pickle", put("adapter_model.bin", pickle.dumps(Evil()))),
    "a pickle as README": ("pickle", put(README, pickle.dumps(Evil(), protocol=4))),
    "an old pickle as LICENSE": ("pickle", put("LICENSE", pickle.dumps(Evil(), protocol=0))),
    "a long old pickle": ("pickle", put("LICENSE", pickle.dumps(["a" * 70_000, Evil()], protocol=0))),
    "a pickle as weights": ("pickle", put(WEIGHTS, pickle.dumps({"a": 1}, protocol=2))),
    "PyTorch's ZIP as weights": ("pickle", put(WEIGHTS, zipped())),
    "a ZIP behind the README": ("pickle", put(README, b"# Read me\n" + zipped())),
    "gzip as a report": ("pickle", put(REPORT, b"\x1f\x8b\x08\x00" + bytes(20))),
    "a suffix that is unpickled": ("pickle", put("optimizer.PT", b"harmless")),
    # texts and JSON
    "a README in another encoding": ("bad-text", put(README, "Читай".encode("cp1251"))),
    "a README that moves the cursor": ("bad-text", put(README, b"fine\x1b[2Jgone")),
    "a manifest cut short": ("bad-json", lambda folder: (folder / MANIFEST).write_bytes(b'{"format": 1')),
    "a manifest that is a list": ("bad-json", lambda folder: (folder / MANIFEST).write_bytes(b"[]")),
    "nested without end": ("bad-json", put(CONFIG, b"[" * 500_000)),
    "NaN in JSON": ("bad-json", put(REPORT, b'{"verdict": NaN}')),
    "half a surrogate pair": ("bad-json", put(CONFIG, b'{"peft_type": "\\ud800"}')),
    "a byte order mark": ("bad-json", put(CONFIG, b"\xef\xbb\xbf{}")),
    "a number of 5,000 digits": ("bad-json", put(CONFIG, b'{"r": ' + b"9" * 5000 + b"}")),
    "a member twice": ("duplicate-member", put(CONFIG, b'{"r": 4, "r": 8}')),
    "a member twice, deep down": (
        "duplicate-member",
        lambda folder: (folder / MANIFEST).write_bytes(
            (folder / MANIFEST).read_bytes().replace(b'"shapes"', b'"name": "other", "shapes"')
        ),
    ),
    "an unknown member in the manifest": ("bad-manifest", manifest(trusted=True)),
    "a version that is none": ("bad-manifest", manifest(version="1.2")),
    "an id with a slash": ("bad-manifest", manifest(id="../sport")),
    "a number as text": ("bad-manifest", manifest(rank="4")),
    "another format": ("bad-manifest", manifest(format=2)),
    "a file that is not listed": ("bad-manifest", manifest(files={})),
    "a topic with hidden letters": (
        "bad-manifest",
        manifest(teacher="GPT\u200b-4"),
    ),
    "a report that passes without a gate": ("bad-report", put(REPORT, b'{"verdict": "PASS"}')),
    "a report that passes with a failed gate": (
        "bad-report",
        put(REPORT, b'{"verdict": "PASS", "gates": [{"name": "forget", "verdict": "FAIL"}]}'),
    ),
    # what the manifest says
    "a changed licence": ("hash-mismatch", tampered("LICENSE")),
    "a changed report": ("hash-mismatch", tampered(REPORT)),
    "changed weights": ("hash-mismatch", tampered(WEIGHTS)),
    "a better verdict than the report's": ("false-claim", manifest(reports={REPORT: "PASS"})),
    "another size": ("false-claim", manifest(bytes=1)),
    "another rank": ("false-claim", manifest(rank=8)),
    # the configuration
    "not a LoRA": ("bad-config", config(peft_type="IA3")),
    "rank 0": ("bad-config", config(r=0)),
    "a rank that is true": ("bad-config", config(r=True)),
    "alpha below 0": ("bad-config", config(lora_alpha=-1)),
    "a library to import": ("bad-config", config(auto_mapping={"parent_library": "antigravity"})),
    "other modules than the tensors": ("bad-config", config(target_modules=["lm_head"])),
    "a pattern that never ends": ("bad-config", config(rank_pattern={"(a+)+b": 8})),
    "trained biases": ("unsupported", config(bias="all")),
    "a bias in LoRA": ("unsupported", config(lora_bias=True)),
    "transposed weights": ("unsupported", config(fan_in_fan_out=True)),
    "fused experts": ("unsupported", config(target_parameters=["mlp.experts.gate_up_proj"])),
    "a start that changes the base": ("unsupported", config(init_lora_weights="pissa")),
    "replicated layers": ("unsupported", config(layer_replication=[[0, 4]])),
    "a variant of tomorrow": ("unsupported", config(use_quantum=True)),
    "a base on the hub": ("remote-base", config(base_model_name_or_path="Qwen/Qwen3-30B-A3B")),
    "a base by URL": ("remote-base", config(base_model_name_or_path="https://example.org/model")),
    "a base elsewhere on the disk": ("remote-base", config(base_model_name_or_path="/etc")),
    "DoRA": ("dora", config(use_dora=True)),
    "ranks per module": ("mixed-ranks", config(rank_pattern={"q_proj": 4})),
    "alphas per module": ("mixed-ranks", config(alpha_pattern={"q_proj": 4})),
    "rsLoRA": ("rslora", config(use_rslora=True)),
    "whole modules": ("modules-to-save", config(modules_to_save=["lm_head"])),
    # the weights
    "a header over the limit": ("header-too-large", raw(b"{}", 2**63 - 1)),
    "a header longer than the file": ("bad-header", raw(b"{}", 4096)),
    "no header": ("bad-header", put(WEIGHTS, b"")),
    "a header that is no JSON": ("bad-header", raw(b"{nonsense}")),
    "no tensors": ("bad-header", raw(b"{}")),
    "metadata that is no text": ("bad-header", header(lambda found: found.update(__metadata__={"a": 1}))),
    "a member too many in the header": ("bad-header", header(lambda found: found[f"{Q}.lora_A.weight"].update(x=1))),
    "a size below 0": ("bad-header", header(lambda found: found[f"{Q}.lora_A.weight"].update(shape=[-4, 32]))),
    "a size that is true": ("bad-header", header(lambda found: found[f"{Q}.lora_A.weight"].update(shape=[128, True]))),
    "a tensor twice": ("duplicate-member", raw(b'{"a": {}, "a": {}}')),
    "a tensor's name in Cyrillic": (
        "bad-name",
        header(lambda found: found.update({"\u0430": found.pop(f"{Q}.lora_A.weight")})),
    ),
    "a name that leads outside": (
        "bad-name",
        header(lambda found: found.update({"../a": found.pop(f"{Q}.lora_A.weight")})),
    ),
    "offsets that overlap": (
        "bad-offsets",
        header(lambda found: found[f"{Q}.lora_A.weight"].update(data_offsets=[4, 516])),
    ),
    "offsets of another size": ("bad-offsets", header(lambda found: found[f"{Q}.lora_A.weight"].update(OFF))),
    "a hole": ("bad-offsets", header(lambda found: found.pop(f"{Q}.lora_B.weight"))),
    "bytes that no tensor owns": ("bad-offsets", header(lambda found: None, more=b"payload!")),
    "a type nobody knows": ("bad-dtype", header(lambda found: found[f"{Q}.lora_A.weight"].update(dtype="Q4"))),
    "whole numbers": ("bad-dtype", header(lambda found: found[f"{Q}.lora_A.weight"].update(dtype="I32"))),
    "A without B": ("unpaired", tensors(B=None)),
    "B without A": ("unpaired", tensors(A=None)),
    "A and B of two ranks": ("rank-mismatch", tensors(B=lambda old: old[:, :3])),
    "one module of another rank": ("mixed-ranks", tensors(A=lambda old: old[:2], B=lambda old: old[:, :2])),
    "a vector for a matrix": ("unsupported", tensors(A=lambda old: old[0])),
    "an embedding": ("unsupported", whole("base_model.model.model.embed_tokens.lora_embedding_A")),
    "a magnitude of DoRA": ("dora", whole(f"{Q}.lora_magnitude_vector")),
    "a whole weight": ("modules-to-save", whole("base_model.model.lm_head.weight")),
    "NaN in float32": ("not-finite", with_value(0x7FC0_0000, "float32")),
    "-infinity in float32": ("not-finite", with_value(0xFF80_0000, "float32")),
    "NaN in float16": ("not-finite", with_value(0x7E00, "float16")),
    "infinity in float16": ("not-finite", with_value(0x7C00, "float16")),
    "NaN in bfloat16": ("not-finite", with_value(0x7FC0, "uint16")),
    "infinity in bfloat16": ("not-finite", with_value(0x7F80, "uint16")),
    "a B of zeros": ("zero-b", tensors(B=np.zeros_like)),
    "a B of negative zeros": ("zero-b", tensors(B=lambda old: -np.zeros_like(old))),
    "a module that the base lacks": (
        "unknown-module",
        lambda folder: replace_weights(
            folder, {name.replace("layers.1", "layers.9"): a for name, a in lora_arrays().items()}
        ),
    ),
    "a module of another shape": (
        "shape-mismatch",
        tensors(A=lambda old: np.concatenate([old, old], axis=1)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bundle_is_refused_for(case: str, bundle: Bundle, base: BaseModelFacts) -> None:
    code, change = CASES[case]
    change(bundle.folder)
    with pytest.raises(BundleRefused) as refused:
        open_bundle(bundle.folder, base)
    assert refused.value.code == code, refused.value.detail
    assert len(refused.value.detail) < 600
    assert refused.value.detail.isprintable()


def test_every_refusal_of_a_bundle_is_shown_above() -> None:
    elsewhere = {
        Refusal.NOT_A_FOLDER,
        Refusal.CHANGED,
        Refusal.BASE_MISMATCH,
        Refusal.BAD_BASE,
        Refusal.RANK_TOO_HIGH,
        Refusal.LINEAR,
        Refusal.BASES_DIFFER,
        Refusal.PARADIGMS_DIFFER,
        Refusal.EXISTS,
    }
    assert {code for code, _ in CASES.values()} == set(Refusal) - elsewhere


def test_every_refusal_is_in_the_table_of_the_docs() -> None:
    text = (
        (Path(__file__).resolve().parents[3] / "docs" / "adapters.md")
        .read_text(encoding="utf-8")
        .partition("## Refusals")[2]
    )
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == {code.value for code in Refusal}


def test_a_device_is_refused(bundle: Bundle) -> None:
    device = bundle.folder / README
    device.unlink()
    try:
        os.mknod(device, 0o20644, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")
    with pytest.raises(BundleRefused, match="no plain file") as refused:
        open_bundle(bundle.folder)
    assert refused.value.code == "special-file"


def test_a_folder_that_is_none_or_a_link_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "link").symlink_to(bundle.folder)
    (tmp_path / "file").touch()
    codes = {}
    for name in ("link", "file", "absent", "nul\0"):
        with pytest.raises(BundleRefused) as refused:
            open_bundle(tmp_path / name)
        codes[name] = refused.value.code.value
    assert codes == {"link": "symlink", "file": "not-a-folder", "absent": "not-a-folder", "nul\0": "not-a-folder"}


def test_weights_that_were_changed_after_the_check_are_not_read(bundle: Bundle) -> None:
    write_safetensors(bundle.folder / WEIGHTS, lora_arrays(seed=7))
    with pytest.raises(BundleRefused) as refused, bundle.weights():
        pass
    assert refused.value.code == "changed"


def test_a_pickle_is_not_packed(tmp_path: Path, base: BaseModelFacts) -> None:
    source = make_peft(tmp_path / "source")
    (source / WEIGHTS).rename(source / "adapter_model.bin")
    (source / "LICENSE").touch()
    from concilium.adapters.pack import Papers, pack
    from support.adapters import facts

    with pytest.raises(BundleRefused, match="safe_serialization") as refused:
        pack(source, tmp_path / "made", facts(), base, Papers(source / "LICENSE"))
    assert refused.value.code == "pickle"


def test_floats_of_every_type_are_taken(tmp_path: Path, base: BaseModelFacts) -> None:
    for name, dtype in (("half", np.float16), ("brain", np.uint16)):
        found = {
            key: (array.view(np.uint32) >> 16).astype(np.uint16) if dtype is np.uint16 else array.astype(dtype)
            for key, array in lora_arrays().items()
        }
        made = make_bundle(tmp_path / name, base, tensors=found)
        assert made.manifest.bytes == sum(array.nbytes for array in found.values())
