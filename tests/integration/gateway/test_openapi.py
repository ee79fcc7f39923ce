"""The OpenAPI document is true: generated requests meet documented answers only, and never a 5xx."""

import asyncio
import sys
from pathlib import Path

import aiohttp

from support.control_plane import Client, ControlPlane

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
)


async def test_generated_requests_meet_documented_answers_only(own_plane: ControlPlane, tmp_path: Path) -> None:
    own_plane.module = "concilium.gateway"
    own_plane.settings["CONCILIUM_GATEWAY__RATE_PER_MINUTE"] = "1000000"
    own_plane.start()
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{own_plane.url}/openapi.json"),
        *("--header", f"Authorization: Bearer {own_plane.key()}", "--checks", ",".join(CHECKS)),
        *("--max-examples", "12", "--seed", "7", "--request-timeout", "10"),
        *("--generation-database", "none", "--no-color"),
    ]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    assert "request.broke" not in own_plane.log.read_text()


async def test_every_operation_is_secured_and_names_its_refusals(
    own_plane: ControlPlane, session: aiohttp.ClientSession
) -> None:
    own_plane.start()
    document = (await Client(session, own_plane, "").call("GET", "/openapi.json")).json
    open_paths = {"/health", "/ready"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path in open_paths:
                continue
            assert operation["security"], (method, path)
            assert {"401", "403", "429", "503"} <= operation["responses"].keys(), (method, path)
