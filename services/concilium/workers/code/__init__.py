"""The code agent: runs, checks, tests and writes scripts in a sandbox.

``skills`` and ``warm_up`` serve the agent's runtime; ``describe_sandbox`` and ``describe_engines`` serve
``concilium doctor``.
"""

from concilium.workers.code.check import check
from concilium.workers.code.generate import generate
from concilium.workers.code.host import describe_engines, describe_sandbox, warm_up
from concilium.workers.code.run import run
from concilium.workers.code.sandbox.probe import RungReport, SandboxReport
from concilium.workers.code.suite import test

__all__ = ["RungReport", "SandboxReport", "describe_engines", "describe_sandbox", "skills", "warm_up"]

skills = {"code.run": run, "code.check": check, "code.test": test, "code.generate": generate}
