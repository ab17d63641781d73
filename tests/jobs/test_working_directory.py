"""Processes that the package starts take no module from the folder they were started in; somebody may fill it."""

import os
import subprocess
import sys

import pytest
from conftest import REPOSITORY

from aslspark.common.child_process import ChildProcess, import_path, module_command

pytestmark = pytest.mark.slow

NO_MODULE_FROM_HERE = pytest.mark.promise(
    "service",
    "No process that the package starts imports modules from the folder that it was started in.",
    kind="Python's working directory on the path of modules",
)


@pytest.fixture
def inbox(tmp_path):
    """A folder with modules that note that they were imported, in `taken` beside it."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    for name in ("numpy", "pyarrow", "pandas", "cloudpickle", "horovod", "yaml", "PIL", "onnxruntime"):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'taken')!r}, 'a').write(__name__ + ' ')\n")
    return folder


def taken(inbox):
    note = inbox.parent / "taken"
    return note.read_text() if note.exists() else ""


def run(command, inbox):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=inbox, env=environment, capture_output=True, text=True, check=False)


@NO_MODULE_FROM_HERE
def test_a_module_that_is_run_takes_none_from_here(inbox):
    done = run([sys.executable, "-c", "import numpy"], inbox)
    assert taken(inbox).split() == ["numpy"]  # as Python does by itself
    (inbox.parent / "taken").unlink()
    code = "import subprocess; from aslspark.common.child_process import module_command\n"
    code += "print(subprocess.run(module_command('calendar', '2026', '1'), capture_output=True, text=True).stdout)"
    (inbox / "calendar.py").write_text("import numpy; print('mine')\n")
    done = run([sys.executable, "-c", code], inbox)
    assert "January 2026" in done.stdout
    assert taken(inbox) == ""
    assert str(inbox) not in import_path()
    assert module_command("x")[1] == "-I"


@NO_MODULE_FROM_HERE
@pytest.mark.parametrize(
    "words",
    [["serve", "--model", "nowhere"], pytest.param(["doctor"], marks=pytest.mark.long), ["watch-folder", "--help"]],
)
def test_the_command_takes_none_from_here_though_it_is_run_as_a_module(inbox, words):
    done = run([sys.executable, "-m", "aslspark", *words], inbox)
    assert done.returncode in (0, 1, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert taken(inbox) == ""


@NO_MODULE_FROM_HERE
@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 always puts the working directory on -m's path")
@pytest.mark.parametrize(
    ("daemon", "is_imported_before"), [("", True), pytest.param("pyspark.daemon", False, marks=pytest.mark.long)]
)
def test_sparks_python_workers_take_none_from_here_and_the_package_is_imported_before_they_are_forked(
    inbox, tmp_path, monkeypatch, daemon, is_imported_before
):
    if daemon:  # somebody's own choice stands
        monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", f"--conf spark.python.daemon.module={daemon} pyspark-shell")
    job = tmp_path / "job.py"
    job.write_text(
        "import sys\n"
        "from aslspark.common.spark_session import spark_session\n"
        "def look(n):\n"
        "    import aslspark.common.errors, numpy\n"
        "    return str(numpy.arange(n).sum()), 'aslspark.scoring.model' in sys.modules\n"
        "with spark_session('look') as spark:\n"
        "    print('sum', spark.sparkContext.parallelize([3, 4], 2).map(look).collect())\n"
    )
    done = run([sys.executable, str(job)], inbox)
    assert f"sum [('3', {is_imported_before}), ('6', {is_imported_before})]" in done.stdout, done.stderr
    assert taken(inbox) == ""


def test_a_package_in_the_working_directory_is_found_by_children_and_nothing_else_there_goes_first(tmp_path):
    child = ChildProcess("operator:itemgetter", ("a",), name="child")
    assert child.ask({"a": 5}, 20.0) == 5
    child.close()
    code = "from aslspark.common.child_process import import_path; print(import_path()[-1], import_path()[0])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )
    last, first = done.stdout.split()
    assert last == str(REPOSITORY)
    assert first != last
