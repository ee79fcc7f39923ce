"""Trains and measures the detector of Cyrillic pages: ``python -m benchmarks.script_detector [--train]``.

Pages are drawn, read by the bundled reader and judged. Training uses other sentences, other faces and other sizes than
the measurement. ``--train`` writes ``script.json`` beside the detector. Nothing is asserted; a table is printed.
"""

import argparse
import json
import pydoc_data.topics
import random
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy
import yaml
from benchmarks import ocr_pages, ocr_texts
from sklearn.linear_model import LogisticRegression

from concilium.workers.vision import rapid, script
from concilium.workers.vision.lines import Line

ROOT = Path(__file__).resolve().parents[1]
SEED = 20
ROWS = 16
PAGE_LIMIT, LINE_LIMIT = 2.0, 8.0
"""Chosen above what training pages of Latin script reach."""
Examples = list[tuple[Sequence[Line], bool]]
"""Pages as they were read, and whether they are Cyrillic."""


def pair_table(text: str) -> list[list[int]]:
    """Return log probabilities of letter pairs in English, times 10, with the edge of a word as letter 27."""
    counts = numpy.full((27, 27), 0.5)
    for word in re.findall(r"[a-z]+", text.lower()):
        codes = [26, *(ord(c) - 97 for c in word), 26]
        for a, b in pairwise(codes):
            counts[a, b] += 1
    logs = numpy.log(counts / counts.sum(axis=1, keepdims=True))
    return [[round(value) for value in row] for row in (10 * logs).tolist()]


def prose() -> str:
    """Return English prose: the language reference that comes with Python."""
    return "\n".join(pydoc_data.topics.topics.values())


def agent_examples() -> tuple[list[str], list[str]]:
    """Return the English and the Russian requests in the agents' folders."""
    found: list[str] = []
    for path in sorted((ROOT / "agents").glob("*/agent.yaml")):
        for skill in yaml.safe_load(path.read_text())["skills"]:
            found += skill.get("examples", [])
    return [e for e in found if e.isascii()], [e for e in found if re.search("[а-яё]{3}", e)]


def phrases(known: Sequence[str], count: int, chance: random.Random) -> Iterator[str]:
    """Yield phrases of one to six words in small letters, as titles or in capitals, some with a number."""
    bag = [word for phrase in known for word in phrase.split()]
    for _ in range(count):
        line = chance.choice(known) if chance.random() < 0.5 else " ".join(chance.choices(bag, k=chance.randint(1, 5)))
        line = chance.choices([line, line.capitalize(), line.title(), line.upper()], [4, 2, 1, 2])[0]
        yield f"{line} {chance.randint(1, 99_999)}" if chance.random() < 0.15 else line


def training_pages(chance: random.Random) -> Examples:
    """Draw and read the pages to learn from."""
    english, russian = agent_examples()
    said = [s.strip() for s in re.findall(r"[A-Z][a-z][\w ,'-]{15,60}", prose())]
    latin = [*english, *chance.sample(said, 400), *(3 * ocr_texts.TRAIN_LATIN)]
    cyrillic = [*russian, *(2 * ocr_texts.TRAIN_RUSSIAN)]
    pages: Examples = []
    for number in range(72):
        foreign = number % 2 == 1
        lines = list(phrases(cyrillic if foreign else latin, ROWS, chance))
        font = chance.choice(ocr_pages.present(ocr_pages.TRAIN_FONTS))
        noise = chance if chance.random() < 0.5 else None
        pages.append(
            (rapid.read(ocr_pages.draw(lines, font, chance.choice((16, 20, 26, 34)), noise=noise).image, 2), foreign)
        )
    return pages


def held_out_pages(chance: random.Random) -> dict[str, Examples]:
    """Draw and read pages of sentences, faces and sizes that were not learnt from, by group."""
    fonts = ocr_pages.present(ocr_pages.HELD_OUT_FONTS) or ocr_pages.present(ocr_pages.TRAIN_FONTS)
    numbers = [" ".join(f"{chance.randint(1, 99_999) / 100:.2f}" for _ in range(4)) for _ in range(24)]
    groups = {
        "English": (ocr_texts.ENGLISH, False),
        "English in capitals": (tuple(s.upper() for s in ocr_texts.ENGLISH), False),
        "other Latin": (ocr_texts.OTHER_LATIN, False),
        "numbers only": (numbers, False),
        "Russian": (ocr_texts.RUSSIAN, True),
        "Russian in capitals": (tuple(s.upper() for s in ocr_texts.RUSSIAN), True),
        "other Cyrillic": (ocr_texts.OTHER_CYRILLIC, True),
    }
    read: dict[str, Examples] = {}
    for name, (lines, foreign) in groups.items():
        read[name] = []
        for font in fonts:
            for size in (18, 30):
                noise = chance if size == 18 else None
                chosen = chance.sample(list(lines), len(lines))[:ROWS]
                read[name].append((rapid.read(ocr_pages.draw(chosen, font, size, noise=noise).image, 2), foreign))
    return read


def train(pages: Examples) -> script.Model:
    """Fit the words' model, then set the limits where training pages are not refused wrongly."""
    pairs = pair_table(prose())
    table = tuple(tuple(v / 10 for v in row) for row in pairs)
    rows, labels = [], []
    for lines, foreign in pages:
        for line in lines:
            if line.confidence < script.CONFIDENCE_MIN:
                continue
            for word, sure in script.words(line):
                rows.append(script.features(word, sure, table))
                labels.append(foreign)
    fitted = LogisticRegression(C=1.0, max_iter=2000, class_weight="balanced").fit(numpy.array(rows), labels)
    weights = [round(float(w), 3) for w in (*fitted.coef_[0], fitted.intercept_[0])]
    right = fitted.score(numpy.array(rows), labels)
    print(f"{len(rows)} words to learn from, {right:.1%} of them told apart")
    print("weights", weights)
    known = script.Model(tuple(weights), table, 0.0, 0.0)
    highest = max(script.line_score(line, known) for p, foreign in pages if not foreign for line in p)
    print(f"highest Latin line {highest:.2f}")
    data = {"weights": weights, "page_limit": PAGE_LIMIT, "line_limit": LINE_LIMIT, "pairs": pairs}
    rows_text = ",\n  ".join(json.dumps(row, separators=(",", ":")) for row in pairs)
    head = json.dumps({k: v for k, v in data.items() if k != "pairs"}, indent=1)[:-2]
    script.MODEL.write_text(f'{head},\n "pairs": [\n  {rows_text}\n ]\n}}\n')
    script.model.cache_clear()
    return script.model()


def measure(groups: dict[str, Examples]) -> None:
    """Print how pages, single lines and single words are judged."""
    known = script.model()
    print(f"page limit {known.page_limit}, line limit {known.line_limit}")
    print(
        f"{'held out':<22}{'pages':>6}{'refused':>9}{'lines':>7}{'refused':>9}"
        f"{'words':>7}{'Cyrillic':>10}{'page score':>14}"
    )
    for name, pages in groups.items():
        verdicts = [script.judge(lines) for lines, _ in pages]
        lines = [
            line
            for page, _ in pages
            for line in page
            if line.confidence >= script.CONFIDENCE_MIN and any(script.words(line))
        ]
        alone = [script.judge([line]).cyrillic for line in lines]
        words = [
            script.word_score(script.features(w, s, known.pairs), len(w), known) > 0
            for n in lines
            for w, s in script.words(n)
        ]
        span = f"{min(v.page for v in verdicts):.0f}…{max(v.page for v in verdicts):.0f}"
        print(
            f"{name:<22}{len(pages):>6}{share(v.cyrillic for v in verdicts):>9}{len(lines):>7}{share(alone):>9}"
            f"{len(words):>7}{share(words):>10}{span:>14}"
        )


def share(flags: "Iterator[bool] | list[bool]") -> str:
    """Return how many of the flags are set."""
    known = list(flags)
    return f"{sum(known) / len(known):.1%}" if known else "-"


def main() -> None:
    """Train when asked, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true", help="fit the model anew and write it")
    options = parser.parse_args()
    if options.train:
        train(training_pages(random.Random(SEED)))
    measure(held_out_pages(random.Random(SEED + 1)))


if __name__ == "__main__":
    main()
