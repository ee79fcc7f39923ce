"""The ``concilium`` command: its groups and how it ends."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from concilium.cli.commands import adapters, agents, ask, backup, costs, keys, mesh, misc, nodes, service, tasks, trust
