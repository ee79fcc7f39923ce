"""What `code.run` does for honest scripts, on every rung."""

import asyncio
import json

import uvloop

from concilium.workers.runtime.skill import SkillContext
from integration.code.conftest import Sandboxed

uvloop.run(asyncio.sleep(0))  # opens descriptors that it keeps, before any test counts them


async def test_python_prints_and_exits_with_zero(box: Sandboxed) -> None:
    output, files = await box.run("print('hello')")
    assert (output["stdout"], output["stderr"], output["exit_code"]) == ("hello\n", "", 0)
    assert (output["signal"], output["limit"], output["truncated"], files) == (None, None, False, {})
    assert output["resources"]["memory_peak_bytes"] > 1_000_000
    assert output["resources"]["processes_peak"] >= 1
    assert output["sandbox"]["unbounded"]


async def test_shell_prints(box: Sandboxed) -> None:
    assert await box.says("echo $((6*7)); printf '%s\\n' a b | sort -r", language="shell") == "42\nb\na"


async def test_standard_input_and_arguments_arrive(box: Sandboxed) -> None:
    source = "import sys, json; print(json.dumps([sys.stdin.read(), sys.argv[1:3]]))"
    said = await box.says(source, stdin="привет\nмир", args=["--имя", "a b;$(c)"])
    assert json.loads(said) == ["привет\nмир", ["--имя", "a b;$(c)"]]


async def test_a_script_without_input_reads_end_of_file(box: Sandboxed) -> None:
    assert await box.says("import sys; print(repr(sys.stdin.read()))") == "''"


async def test_cyrillic_passes_through_names_and_text(box: Sandboxed) -> None:
    source = (
        "t = open('счёт.txt', encoding='utf-8').read(); open('итог.txt', 'w').write(t.upper()); print('готово: ' + t)"
    )
    output, files = await box.run(source, {"счёт.txt": "сумма".encode()})
    assert output["stdout"] == "готово: сумма\n"
    assert files == {"итог.txt": "СУММА".encode()}


async def test_files_come_back_new_and_changed_but_not_unchanged(box: Sandboxed) -> None:
    source = """
import os
open('changed.txt', 'a').write('!')
open('new.txt', 'w').write('new')
os.mkdir('deep')
open('deep/er.txt', 'w').write('deep')
open(os.environ['OUT'] + '/out.bin', 'wb').write(bytes(range(256)))
open(os.environ['TMPDIR'] + '/scratch', 'w').write('not this')
"""
    output, files = await box.run(source, {"same.txt": b"same", "changed.txt": b"old"})
    assert output["exit_code"] == 0, output
    assert files == {"changed.txt": b"old!", "new.txt": b"new", "deep_er.txt": b"deep", "out.bin": bytes(range(256))}
    assert sorted(output["files"]) == sorted(files)


async def test_names_that_would_collide_stay_apart(box: Sandboxed) -> None:
    source = """
import os
os.mkdir('a')
open('a/b', 'w').write('1'); open('a_b', 'w').write('2'); open(os.environ['OUT'] + '/a_b', 'w').write('3')
"""
    _, files = await box.run(source)
    assert sorted(files.values()) == [b"1", b"2", b"3"]


async def test_a_failing_script_is_a_result_with_its_exit_code(box: Sandboxed) -> None:
    output, _ = await box.run("import sys; print('so far'); sys.exit(3)")
    assert (output["exit_code"], output["stdout"]) == (3, "so far\n")
    output, _ = await box.run("1/0")
    assert output["exit_code"] == 1
    assert "ZeroDivisionError" in output["stderr"]


async def test_a_signal_is_named(box: Sandboxed) -> None:
    output, _ = await box.run("import faulthandler, ctypes; ctypes.string_at(0)")
    assert (output["exit_code"], output["signal"]) == (None, "SIGSEGV")


async def test_the_language_is_guessed_from_the_script(box: Sandboxed) -> None:
    for name, content in (("s.sh", b"echo shell"), ("s.py", b"print('python')"), ("s", b"#!/bin/bash\necho shell")):
        ctx = SkillContext(run_id="t.s.1", files={"0" * 64: content}, settings=box.settings, folder=box.workdir)
        from concilium.workers.code import skills

        script = {"sha256": "0" * 64, "name": name, "media_type": "text/plain", "size": len(content)}
        result = await skills["code.run"](ctx, {"script": script})
        assert result.output["stdout"].strip() in content.decode(), result.output


async def test_asyncio_threads_and_processes_work_inside(box: Sandboxed) -> None:
    source = """
import asyncio, subprocess, threading
async def main():
    child = await asyncio.create_subprocess_exec('cat', stdin=-1, stdout=-1)
    return (await child.communicate(b'through cat'))[0]
print(asyncio.run(main()).decode())
thread = threading.Thread(target=print, args=('thread',)); thread.start(); thread.join()
print(subprocess.run(['sh', '-c', 'echo $0', 'child'], capture_output=True, text=True, check=True).stdout.strip())
"""
    assert await box.says(source) == "through cat\nthread\nchild"


async def test_binary_output_becomes_valid_text(box: Sandboxed) -> None:
    said = await box.says(r"import sys; sys.stdout.buffer.write(b'\x00\xff\xfeok')")
    assert said == "\ufffd\ufffd\ufffdok"


def test_it_runs_on_the_services_event_loop_too(box: Sandboxed) -> None:
    async def run() -> str:
        return await box.says("echo out > /dev/stdout; printf err >&2; seq 3", language="shell")

    assert uvloop.run(run()) == "out\n1\n2\n3"
