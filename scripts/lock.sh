#!/bin/sh
# Resolves pyproject.toml into requirements.lock and requirements-embedded.lock (with the extra `embedded`, which needs
# PyTorch and so has an environment of its own), and the installer into scripts/uv.lock.txt, all with hashes.
# Versions already locked stay unless pyproject.toml asks for others; UPGRADE=1 takes the newest.
set -eu
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
extras="--group dev --extra code --extra document --extra postgres --extra redis --extra tts --extra vision"
# shellcheck disable=SC2086 # a list of options
$uv pip compile pyproject.toml $extras --generate-hashes --python-version 3.11 --no-header --quiet \
    ${UPGRADE:+--upgrade} --output-file requirements.lock >/dev/null
sed -i '1i # Locked dependencies with hashes; made by `make lock`.' requirements.lock

.venv/bin/python scripts/embedded_env.py --lock

{
    echo '# The installer itself, by hash; made by `make lock`.'
    echo "uv==$($uv --version | cut -d' ' -f2)" |
        $uv pip compile - --generate-hashes --no-header --no-annotate --quiet
} >build/uv.lock.txt
mv build/uv.lock.txt scripts/uv.lock.txt
