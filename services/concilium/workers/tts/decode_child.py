"""A program of its own: decodes an audio file from outside and writes its samples.

Run as ``python decode_child.py SECONDS`` by a parent that does not trust the file: a decoder that is taken over or dies
harms this process alone. It imports nothing of this project. Standard input: the file. Standard output: the sample rate
and the number of channels, each as 4 bytes little-endian, then 16-bit samples. Exit status 3: longer than SECONDS.
"""

import io
import sys

import soundfile

CHANNELS_MAX = 8
RATES = (4000, 192_000)
TOO_LONG = 3


def main() -> int:
    """Decode standard input."""
    with soundfile.SoundFile(io.BytesIO(sys.stdin.buffer.read())) as sound:
        rate, channels = sound.samplerate, sound.channels
        if not (RATES[0] <= rate <= RATES[1] and 1 <= channels <= CHANNELS_MAX):
            return 1
        limit = int(float(sys.argv[1]) * rate)
        samples = bytes(sound.buffer_read(limit + 1, dtype="int16"))
    if len(samples) > limit * 2 * channels:
        return TOO_LONG
    sys.stdout.buffer.write(rate.to_bytes(4, "little") + channels.to_bytes(4, "little") + samples)
    return 0


if __name__ == "__main__":
    sys.exit(main())
