"""Character error rate: the edit distance between a reading and the truth over the truth's length.

The definition of the ISRI accuracy tools (Rice, Jenkins, Nartker, "The fourth annual test of OCR accuracy", 1995):
insertions, deletions and substitutions count one each (Levenshtein 1966). Of several pages the errors and the lengths
are summed, so that every character counts the same. White space of any kind counts as one blank.
"""

import numpy


def normal(text: str) -> str:
    """Return the text with white space of any kind as one blank."""
    return " ".join(text.split())


def edits(told: str, true: str) -> int:
    """Return the Levenshtein distance."""
    codes = numpy.array([ord(c) for c in told])
    places = numpy.arange(len(told) + 1)
    row = places.copy()
    for number, character in enumerate(true, start=1):
        above = numpy.minimum(row[1:] + 1, row[:-1] + (codes != ord(character)))
        row = numpy.concatenate(([number], above))
        # What is left of a cell may be nearer: a running minimum of value minus position.
        row = numpy.minimum.accumulate(row - places) + places
    return int(row[-1])


def rate(pairs: list[tuple[int, int]]) -> float:
    """Return the rate over pages, each given as its errors and its length."""
    return sum(errors for errors, _ in pairs) / max(1, sum(length for _, length in pairs))
