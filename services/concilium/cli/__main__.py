"""``python -m concilium.cli`` is the ``concilium`` command."""

from concilium.cli.app import main

main()
