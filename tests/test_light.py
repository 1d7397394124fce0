import subprocess
import sys

from regard.trace import toy_trace

LIGHT = ["errors", "axes", "registry", "trace", "data", "views"]
LIGHT += ["measures", "measures.spread", "measures.place", "measures.words"]
HEAVY = ["torch", "diffusers", "transformers", "ray", "gradio"]


def loaded_by(code, *arguments):
    """The heavy libraries that a fresh Python has loaded after running some code."""
    check = f"import sys; {code}; print(*(set({HEAVY}) & set(sys.modules)))"
    command = [sys.executable, "-c", check, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_the_rooms_without_torch_load_no_torch():
    assert loaded_by("; ".join(f"import regard.{room}" for room in LIGHT)) == []


def test_reading_a_trace_loads_no_torch(tmp_path):
    toy_trace().save(tmp_path / "trace.zarr")
    code = (
        "from regard.trace import Trace; from regard.measures.words import word_table; "
        "trace = Trace.load(sys.argv[1]); trace.heatmap('cat'); word_table(trace)"
    )
    assert loaded_by(code, str(tmp_path / "trace.zarr")) == []
