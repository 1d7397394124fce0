import os
import signal
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from regard.cli.polite import NO_MEMORY, Polite
from regard.saved.claim import beside


def command(raised):
    app = typer.Typer(cls=Polite, pretty_exceptions_enable=False)

    @app.command()
    def one():
        raise raised

    @app.command()
    def other():
        pass

    return CliRunner().invoke(app, ["one"])


def behind(cause):
    try:
        raise ValueError("the model could not be opened") from cause
    except ValueError as raised:
        return raised


@pytest.mark.parametrize(
    "raised",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("can't start new thread"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(12, "Cannot allocate memory"),
        behind(MemoryError()),
    ],
)
def test_running_out_of_memory_is_one_line(raised):
    done = command(raised)
    assert done.exit_code == 1
    assert done.stderr == f"regard: {NO_MEMORY}\n"


def test_a_mistake_of_ours_is_not_hidden():
    assert isinstance(command(RuntimeError("a mistake of ours")).exception, RuntimeError)


CLAIMING = """
import sys, time
from pathlib import Path
import typer
from regard.cli.polite import Polite, end_politely
from regard.saved.claim import claim
app = typer.Typer(cls=Polite, pretty_exceptions_enable=False)
@app.command()
def one(out: Path):
    with claim(out, who="one"):
        print("ready", flush=True)
        time.sleep(60)
@app.command()
def other(): pass
end_politely()
app()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_told_to_end_it_clears_up_and_says_so(tmp_path, name):
    number = getattr(signal, name)
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", f"import signal; signal.signal({number}, signal.SIG_DFL){CLAIMING}",
         "one", str(out)],  # as a terminal starts it, also where the tests run under nohup
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        assert beside(out, "lock").exists()
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert said == "regard: stopped; nothing was written.\n"
    assert list(tmp_path.iterdir()) == []
