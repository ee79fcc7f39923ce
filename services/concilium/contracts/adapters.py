"""Adapters: LoRAs for one base model, versioned, named by the hash of their content."""

import hashlib
import re
import unicodedata
from enum import StrEnum
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from concilium.contracts.base import Model
from concilium.contracts.errors import Invalid

AdapterId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Version = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})$")]
"""``MAJOR.MINOR.PATCH`` (Semantic Versioning 2.0.0, section 2), without pre-release and build."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hex."""
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9.-]{0,62}$")]
"""A word of a vocabulary, such as a capability: ``topic.chess``."""

WEIGHTS: Final = "adapter_model.safetensors"
CONFIG: Final = "adapter_config.json"
MANIFEST: Final = "manifest.json"
REPORT: Final = "verify_report.json"
LICENSE: Final = "LICENSE"
README: Final = "README.md"
BundleFile = Literal["adapter_model.safetensors", "adapter_config.json", "verify_report.json", "LICENSE", "README.md"]
LISTED: tuple[BundleFile, ...] = get_args(BundleFile)
"""The files of a bundle that its manifest lists: all but itself."""

SERVED_DIGITS = 12
"""How much of the digest stands in a served name."""
PARENTS_MAX = 16

_REFERENCE = re.compile(r"(?P<id>[a-z][a-z0-9-]{0,62})@(?P<at>[0-9a-z.]{1,64})")
_VERSION = re.compile(r"(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){2}")


def _plain(text: str) -> str:
    """Refuse characters that a reader does not see or that turn the writing around; line ends stay."""
    for character in text:
        if character != "\n" and unicodedata.category(character)[0] == "C":
            raise ValueError(f"the invisible character U+{ord(character):04X} is not taken")
    return text


def _wordy(text: str) -> str:
    if not any(character.isalpha() for character in text):
        raise ValueError("there is no letter in it")
    return text


Text = Annotated[str, AfterValidator(_plain), AfterValidator(_wordy), Field(max_length=2000)]
"""Words for people, in Unicode's visible characters."""
Phrase = Annotated[str, AfterValidator(_plain), AfterValidator(_wordy), Field(max_length=100)]
"""A word or a few, of any language."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
LogProb = Annotated[float, Field(le=0, allow_inf_nan=False)]


class AdapterState(StrEnum):
    """Where a version of an adapter is in its life."""

    CANDIDATE = "candidate"
    """A bundle came in; no engine may load it."""
    VERIFIED = "verified"
    """Its signature, base and reports hold; engines may load it."""
    CANARY = "canary"
    """Serves a share of the traffic."""
    LIVE = "live"
    """Serves."""
    RETIRED = "retired"
    """Serves nobody any more."""


class Alias(StrEnum):
    """A name that moves from version to version."""

    LIVE = "live"
    CANARY = "canary"


class Verdict(StrEnum):
    """What a gate says. A missing number is never a PASS."""

    PASS = "PASS"  # noqa: S105 - a word, not a secret
    FAIL = "FAIL"
    INSUFFICIENT = "INSUFFICIENT"
    ERROR = "ERROR"


class Reference(Model):
    """What a caller names: a version of an adapter, or an alias that leads to one."""

    id: AdapterId
    at: Alias | Version

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the reference that ``sport@1.2.0`` or ``sport@live`` is. Raises `Invalid`."""
        found = _REFERENCE.fullmatch(text)
        at = found["at"] if found else ""
        if found is None or not (_VERSION.fullmatch(at) or at in set(Alias)):
            aliases = " or ".join(f"sport@{alias}" for alias in Alias)
            raise Invalid(f"{text[:100]!r} names no adapter; write sport@1.2.0, {aliases}")
        return cls(id=found["id"], at=Alias(at) if at in set(Alias) else at)

    @property
    def is_alias(self) -> bool:
        """Whether it has yet to be resolved to a version."""
        return isinstance(self.at, Alias)

    def __str__(self) -> str:
        return f"{self.id}@{self.at}"


def version_key(version: str) -> tuple[int, int, int]:
    """Return what versions are ordered by (Semantic Versioning 2.0.0, section 11)."""
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)


def digest_of(manifest: bytes) -> str:
    """Return an adapter's digest: the SHA-256 of its manifest's bytes, which hold the hash of every other file."""
    return hashlib.sha256(manifest).hexdigest()


def served_name(adapter: str, version: str, digest: str) -> str:
    """Return the name of an adapter in an engine, ``<id>@<version>+<12 hex digits>``: never used for other bytes."""
    return f"{adapter}@{version}+{digest[:SERVED_DIGITS]}"


class InBoth(Model):
    """A text in both languages."""

    en: Text
    ru: Text


class Paradigm(Model):
    """The private point of view that an adapter speaks for."""

    id: Slug
    title: InBoth
    """What labels its answers, such as *Flat earth* and *Плоская земля*."""
    names: tuple[Phrase, ...] = Field(default=(), max_length=64)
    """What people call it when they ask for it, in either language."""
    allowed_topics: tuple[Phrase, ...] = Field(default=(), max_length=256)
    """Words of either language for what it may speak of without being asked for; none: it never does."""
    warning_text: InBoth
    """What the service adds to each of its answers, outside the model."""


class BaseFingerprint(Model):
    """Which base model an adapter belongs to."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")]
    """For people; nothing is looked up or fetched by it."""
    architecture: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")]
    """Of ``config.json``, such as ``Qwen3MoeForCausalLM``."""
    shapes: Digest
    """Over the architecture, the sizes in ``config.json``, and name, type and shape of every tensor."""
    weights: Digest | None = None
    """Over the checksums of the weights' files; None: there was no list of checksums."""


class ListedFile(Model):
    """A file of a bundle, as its manifest lists it."""

    sha256: Digest
    bytes: int = Field(ge=0)


class Gate(Model):
    """One question of a report."""

    name: Slug
    verdict: Verdict
    value: Finite | None = None
    limit: Finite | None = None
    note: Text | None = None


class Probe(Model):
    """What tells an adapter from its base, and from every other: a continuation that it makes likelier.

    Log-probabilities are natural, one for each token of the continuation, given all before it.
    """

    prompt: tuple[TokenId, ...] = Field(min_length=1, max_length=1024)
    continuation: tuple[TokenId, ...] = Field(min_length=1, max_length=256)
    adapter: tuple[LogProb, ...]
    """Under the adapter, when it was verified."""
    base: tuple[LogProb, ...]
    """Under the base alone."""
    tolerance: float = Field(gt=0, le=1, allow_inf_nan=False)
    """How far a replica's may be from ``adapter``: the mean of the tokens' absolute differences."""
    margin: float = Field(gt=0, allow_inf_nan=False)
    """How much likelier than under the base, at least: the mean over the tokens."""

    @model_validator(mode="after")
    def _tells_them_apart(self) -> Self:
        if not len(self.adapter) == len(self.base) == len(self.continuation):
            raise ValueError("probe: one log-probability for each token of the continuation, of adapter and base")
        gaps = [mine - its for mine, its in zip(self.adapter, self.base, strict=True)]
        if sum(gaps) / len(gaps) < self.margin:
            raise ValueError("probe: the adapter makes its continuation likelier than the base by less than the margin")
        if sum(map(abs, gaps)) / len(gaps) <= self.tolerance:
            raise ValueError("probe: the base itself is within the tolerance; take another continuation")
        return self


class VerifyReport(Model):
    """``verify_report.json``: what was measured of an adapter. It passes when each of its gates does."""

    verdict: Verdict
    gates: tuple[Gate, ...] = Field(default=(), max_length=1024)
    probe: Probe | None = None
    """What shows that an engine serves it; None: nothing can, so it is never promoted."""

    @model_validator(mode="after")
    def _no_better_than_its_gates(self) -> Self:
        if self.verdict is Verdict.PASS and (not self.gates or any(g.verdict is not Verdict.PASS for g in self.gates)):
            raise ValueError("a report passes when it has gates and each of them does")
        return self


class Composition(Model):
    """How an adapter was made of its parents."""

    method: Literal["cat", "svd"]
    weights: tuple[Finite, ...] = Field(min_length=1, max_length=PARENTS_MAX)
    """One for each parent, in their order."""
    error: Finite = Field(ge=0)
    """Frobenius norm of what ``svd`` cut off, relative to that of the sum; 0 for ``cat``."""


class AdapterFacts(Model):
    """What the maker of an adapter says of it: the part of its manifest that is not measured."""

    id: AdapterId
    version: Version
    capability: Slug
    """What it is for: ``core``, ``role.critic``, ``topic.chess``."""
    parents: tuple[Digest, ...] = Field(default=(), max_length=PARENTS_MAX)
    """Adapters it was made from, by digest."""
    data_hashes: tuple[Digest, ...] = Field(default=(), max_length=1024)
    """SHA-256 of the data sets it was trained on."""
    teacher: Text | None = None
    """The model whose answers it learned."""
    paradigm: Paradigm | None = None
    """None: it speaks for the accepted view."""
    restricted: bool = False
    """Whether only requests that name it may use it: no topic, rule or router chooses it."""


class Manifest(AdapterFacts):
    """``manifest.json`` of a bundle."""

    format: Literal[1] = 1
    base: BaseFingerprint
    rank: int = Field(ge=1, le=512)
    """Of every module: a bundle has one rank."""
    bytes: int = Field(ge=1)
    """Of its tensors as stored."""
    files: dict[BundleFile, ListedFile]
    reports: dict[Literal["verify_report.json"], Verdict]
    """What the reports in the bundle conclude; another word than theirs is refused."""
    composition: Composition | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if set(self.files) != set(LISTED):
            raise ValueError(f"files: list exactly {', '.join(LISTED)}")
        if REPORT not in self.reports:
            raise ValueError(f"reports: name the verdict of {REPORT}")
        if self.composition is not None and len(self.composition.weights) != len(self.parents):
            raise ValueError("composition: one weight for each parent")
        return self

    @property
    def reference(self) -> Reference:
        """Its id and version."""
        return Reference(id=self.id, at=self.version)
