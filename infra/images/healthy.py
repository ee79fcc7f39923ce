#!/usr/bin/env python3
"""Health check of a container: ``healthy PORT`` asks ``/ready`` there, ``healthy FILE`` wants a file touched lately."""

import http.client
import sys
import time
from pathlib import Path

LATELY_S = 60.0
ANSWER_S = 4.0


def main(what: str) -> int:
    """Return 0 when the container's process is well."""
    if not what.isdigit():
        return int(time.time() - Path(what).stat().st_mtime > LATELY_S)
    asked = http.client.HTTPConnection("127.0.0.1", int(what), timeout=ANSWER_S)
    asked.request("GET", "/ready")
    answer = asked.getresponse()
    print(answer.read().decode())
    return int(answer.status != http.client.OK)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
