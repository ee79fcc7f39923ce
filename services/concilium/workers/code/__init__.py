"""The code agent: runs scripts in a sandbox.

``skills`` and ``warm_up`` serve the agent's runtime, ``describe_sandbox`` serves ``concilium doctor``.
"""

from concilium.workers.code.host import describe_sandbox, warm_up
from concilium.workers.code.run import run
from concilium.workers.code.sandbox.probe import RungReport, SandboxReport

__all__ = ["RungReport", "SandboxReport", "describe_sandbox", "skills", "warm_up"]

skills = {"code.run": run}
