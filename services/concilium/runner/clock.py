"""The runner's clock: it also counts while the machine is suspended, which ``time.monotonic`` does not."""

import time


def now() -> float:
    """Return seconds since an arbitrary point, never set back (CLOCK_BOOTTIME of clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
