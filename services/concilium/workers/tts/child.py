"""A program of its own: speaks sentences with espeak-ng and writes their samples.

Run as ``python child.py LIBRARY DATA`` (DATA empty: the library's own voices) by a parent that never loads the library
itself (espeak-ng is GPL). It imports nothing of this project. Standard input: one JSON object a line,
``{"text", "voice", "speed", "pitch"}``. Standard output: first the sample rate, then for each sentence a byte count,
each as 4 bytes little-endian; after a count, 16-bit PCM samples.
"""

import ctypes
import json
import math
import sys

RETRIEVE_SYNCHRONOUSLY = 2
CHARS_UTF8 = 1
POSITION_CHARACTER = 1
RATE = 1
PITCH = 3
WORDS_PER_MINUTE = 175
"""espeak-ng's default rate, speed 1.0."""
PITCH_MIDDLE = 50
"""espeak-ng's default pitch; 50 more is an octave more."""


class Voice(ctypes.Structure):
    """espeak-ng's ``espeak_VOICE``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def write_number(number: int) -> None:
    """Write 4 bytes, little-endian."""
    sys.stdout.buffer.write(number.to_bytes(4, "little"))


def choose(library: ctypes.CDLL, voice: bytes) -> None:
    """Take the voice of this name, else one for the language of this name (``en-gb`` is a language only)."""
    if library.espeak_SetVoiceByName(voice) == 0:
        return
    if library.espeak_SetVoiceByProperties(ctypes.byref(Voice(languages=voice))) != 0:
        raise SystemExit(f"no voice '{voice.decode()}'")


def speak(library: ctypes.CDLL, text: str, voice: str, speed: float, pitch: float) -> None:
    """Prepare the voice and hand the text over; samples arrive in the callback."""
    choose(library, voice.encode())
    library.espeak_SetParameter(RATE, round(WORDS_PER_MINUTE * speed), 0)
    octaves = math.log2(pitch)
    library.espeak_SetParameter(PITCH, round(PITCH_MIDDLE * (1 + octaves)), 0)
    data = text.encode() + b"\0"
    size = ctypes.c_size_t(len(data))
    if library.espeak_Synth(data, size, 0, POSITION_CHARACTER, 0, CHARS_UTF8, None, None) != 0:
        raise SystemExit("espeak-ng could not speak the text")
    library.espeak_Synchronize()


def main() -> None:
    """Serve standard input until it ends."""
    library = ctypes.CDLL(sys.argv[1])
    rate = library.espeak_Initialize(RETRIEVE_SYNCHRONOUSLY, 0, sys.argv[2].encode() or None, 0)
    if rate <= 0:
        raise SystemExit("espeak-ng did not start")
    samples = bytearray()

    def collect(wave: "ctypes._Pointer[ctypes.c_short]", count: int, _events: int | None) -> int:
        if wave and count > 0:
            samples.extend(ctypes.string_at(wave, count * 2))
        return 0

    callback = Callback(collect)
    library.espeak_SetSynthCallback(callback)
    write_number(rate)
    sys.stdout.buffer.flush()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        samples.clear()
        speak(library, request["text"], request["voice"], request["speed"], request["pitch"])
        write_number(len(samples))
        sys.stdout.buffer.write(samples)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
