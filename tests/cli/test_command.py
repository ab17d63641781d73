import ast
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys

import pytest
from conftest import REPOSITORY
from reference_pages import parser_of

from aslspark.cli import completion, doctor, fetch, jobs_support
from aslspark.common import progress
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import Config, declarations
from aslspark.images.hands.networks import FOLDER_VARIABLE, NETWORK_FILES


def aslspark(*words, **more):
    return subprocess.run(
        [sys.executable, "-m", "aslspark", *words], capture_output=True, text=True, check=False, **more
    )


def test_help_fits_a_screen_and_names_every_job():
    assert len(aslspark("serve", "--help").stdout.splitlines()) <= 24
    found = aslspark("--help")
    lines = found.stdout.splitlines()
    assert found.returncode == 0
    assert len(lines) <= 24, "a screen has 24 lines: make the list of commands shorter"
    assert all(len(line) <= 80 for line in lines)
    jobs = [path.stem.replace("_", "-") for path in (REPOSITORY / "jobs").glob("*.py")]
    assert all(any(line.startswith(f"  {name} ") for line in lines) for name in [*jobs, "serve", "doctor", "fetch"])
    assert aslspark().stdout == found.stdout


@pytest.mark.slow
def test_a_job_is_run_by_its_name_and_its_errors_are_one_line(tmp_path):
    found = aslspark("score", "--model", str(tmp_path / "none"), "--data", "x.csv", "--out", "y")
    assert found.returncode == 2
    said = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    assert said == [f"error: --model {tmp_path / 'none'}: there is no such folder; give the --out of a training job"]
    assert "Traceback" not in found.stderr


WITHOUT_SPARK = """
import contextlib, io, json, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pyspark", "py4j"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from aslspark.cli.command import main
from aslspark.cli.jobs_support import run_job

for words in json.load(sys.stdin):
    out, err, sys.argv = io.StringIO(), io.StringIO(), ["aslspark", *words]
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run_job(main)
        except SystemExit as left:
            code = left.code
    print(json.dumps([code or 0, out.getvalue(), err.getvalue()]))
"""


def least_words(job):
    """The least that a job is called with: what its parser requires, and of options of which one is, the data."""
    parser = parser_of(job)
    groups = [group._group_actions for group in parser._mutually_exclusive_groups if group.required]
    required = [action for action in parser._actions if action.required]
    required += [max(actions, key=lambda action: action.nargs == "+") for actions in groups]
    values = {action: action.choices[0] if action.choices else "s.yaml" for action in required}
    return [word for action, value in values.items() for word in (action.option_strings[0], value)]


def without_spark(lines, folder):
    (folder / "s.yaml").write_text("training.epochs: [1, 2]\n")
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_SPARK],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        cwd=folder,
        check=True,
    )
    return [json.loads(line) for line in found.stdout.splitlines()]


@pytest.mark.promise(
    "install",
    "Where pyspark is not installed, every job says its options, and run says in one line what to install.",
    kind="a module that needs Spark is imported before the command line is read",
)
def test_without_pyspark_every_job_says_its_options_and_what_to_install(tmp_path):
    jobs = [path.stem.replace("_", "-") for path in sorted((REPOSITORY / "jobs").glob("*.py"))]
    for job, (code, out, err) in zip(jobs, without_spark([[job, "--help"] for job in jobs], tmp_path), strict=True):
        assert (code, err) == (0, ""), job
        assert f"usage: aslspark {job}" in out
    calls = [[job, *least_words(job)] for job in jobs]
    for (job, *_), (code, _, err) in zip(calls, without_spark(calls, tmp_path), strict=True):
        assert (code, err) == (
            2,
            "error: pyspark is not installed; pip install aslspark[spark]; a cluster brings its own\n",
        ), job
    assert [path.name for path in tmp_path.iterdir()] == ["s.yaml"]


def test_a_wrong_setting_is_said_before_what_is_missing(tmp_path):
    [(code, _, err)] = without_spark([["train-cnn", "--out", "o", "--epochs", "many"]], tmp_path)
    assert (code, err.startswith("error: --set training.epochs=many: expected a whole number")) == (2, True)


@pytest.mark.promise(
    "install",
    "Each module that setup.py's extras bring is named with its extra where it is missing.",
    kind="an extra that the command does not know",
)
def test_the_extras_that_the_command_names_are_those_of_setup_py():
    setup = (REPOSITORY / "setup.py").read_text(encoding="utf-8")
    tree = next(node for node in ast.walk(ast.parse(setup)) if getattr(node, "arg", "") == "extras_require")
    extras = ast.literal_eval(tree.value)
    assert {*jobs_support.EXTRAS, "test", "docs", "dev"} == {name for name, packages in extras.items() if packages}


WITHOUT_RESULT = {"score-stream"}
"""Jobs that run on."""


def test_every_job_that_ends_prints_its_result_for_programs():
    for path in sorted((REPOSITORY / "jobs").glob("*.py")):
        job = path.stem.replace("_", "-")
        has_option = "--json" in parser_of(job)._option_string_actions
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert has_option == any(getattr(call.func, "id", "") == "print_result" for call in calls), job
        assert has_option == (job not in WITHOUT_RESULT), job
        assert has_option == (f"`{job}`" in (REPOSITORY / "docs/commands.md").read_text().partition("<!--")[0]), job


def test_the_settings_are_listed_for_programs():
    [line] = aslspark("settings", "training.epochs", "--json").stdout.splitlines()
    default = Config().training.epochs
    [(name, facts)] = json.loads(line).items()
    assert (name, facts["default"]) == ("training.epochs", default)
    assert facts["values"].startswith("a whole number")
    assert json.loads(aslspark("settings", "--json").stdout).keys() == declarations().keys()


def test_an_unknown_command_is_refused_with_those_that_there_are():
    found = aslspark("traim")
    assert found.returncode == 2
    assert found.stderr == "error: traim: there is no such command; did you mean train-baseline or train-cnn?\n"
    assert aslspark("fetsh").stderr == "error: fetsh: there is no such command; did you mean fetch?\n"
    found = aslspark("xyz").stderr
    assert found.startswith("error: xyz: there is no such command; choose ")
    assert "serve" in found


def test_the_service_says_what_is_wrong_with_its_settings(tmp_path):
    found = aslspark("serve", "--model", str(tmp_path))
    assert (found.returncode, found.stderr.startswith(f"error: --model {tmp_path}: no bundle")) == (2, True)
    assert aslspark("serve", "--model", "x", "--looks", "5").stderr == "error: --looks 5: give 1 to 4\n"


def test_a_mistyped_model_and_a_port_that_is_taken_are_said_before_the_service_is_loaded(tmp_path):
    """Neither FastAPI nor onnxruntime has been imported by then."""
    (tmp_path / "champion").mkdir()
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    code = (
        "import sys; from aslspark.common.errors import AslsparkError; from aslspark.serving import server\n"
        "try: server.main(sys.argv[1:])\n"
        "except AslsparkError as error: print(error)\n"
        "print(*{'fastapi', 'onnxruntime'} & set(sys.modules))"
    )
    for words, message in (
        (["--model", "champoin"], "--model champoin: there is no such folder; did you mean champion?"),
        (["--model", "leters"], "--model leters: there is no such folder; did you mean letters?"),
        (["--port", str(port)], f"--host 127.0.0.1 --port {port}: Address already in use; choose another port, or 0"),
    ):
        found = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True)
        said, loaded = found.stdout.splitlines()
        assert said.startswith(message)
        assert loaded == ""
    taken.close()


def test_bash_completes_commands_and_their_options():
    script = aslspark("completion", "bash").stdout

    def completed(*words):
        typed = " ".join(f"'{word}'" for word in words)
        ask = f'COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _aslspark; echo "${{COMPREPLY[@]}}"'
        done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert completed("aslspark", "s") == ["score", "score-stream", "serve", "settings"]
    assert completed("aslspark", "serve", "--max-p") == ["--max-pixels", "--max-pictures"]
    assert completed("aslspark", "fetch", "--o") == ["--out"]
    assert completed("aslspark", "fetch", "--f") == ["--from"]
    assert completed("aslspark", "train-cnn", "--set", "split.k") == ["split.kind="]
    assert completed("aslspark", "train-cnn", "--set", "split.kind=signer", "training.ep") == [
        "training.epochs=",
        "training.epsilon=",
    ]
    assert completed("aslspark", "train-cnn", "--set", "split.kind=signer", "--epo") == ["--epochs"]


def test_a_jobs_options_are_those_of_its_help():
    assert {"--model", "--data", "--out", "--threshold", "--set"} <= set(completion.options_of("score"))


def test_zsh_takes_the_script():
    script = aslspark("completion", "zsh").stdout
    assert "bashcompinit" in script
    if shutil.which("zsh"):
        subprocess.run(["zsh", "-f", "-c", f"autoload -U compinit; compinit -D -u; {script}"], check=True)


@pytest.mark.long
def test_the_doctor_looks_at_all_that_the_jobs_need():
    found = aslspark("doctor")
    assert found.returncode == 0, found.stdout
    for words in ("Java", "Python", "memory", "GPUs", "Horovod", "slots"):
        assert words in found.stdout


@pytest.mark.skipif(doctor._version("horovod") is None, reason="there is no Horovod")
def test_a_horovod_that_takes_long_to_answer_is_not_taken_for_one_that_was_built_with_nothing(monkeypatch):
    monkeypatch.setattr(doctor, "IMPORT_SECONDS", 0.01)
    [found] = doctor._horovod()
    assert found.state == doctor.HINT
    assert "did not say in 0.01 s how it was built" in found.detail
    assert "look again" in found.remedy


def test_the_doctor_names_what_is_missing_with_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "CHECKS", (doctor._java, doctor._memory, doctor._gpus))
    with pytest.raises(SystemExit) as ended:
        doctor.main([])
    assert ended.value.code == 1
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("missing Java")
    assert "JAVA_HOME" in first
    assert "apt-get install openjdk-17-jre-headless" in second
    with pytest.raises(SystemExit) as ended:
        doctor.main(["--json"])
    assert ended.value.code == 1
    java, *others = json.loads(capsys.readouterr().out.splitlines()[-1])["findings"]
    assert (java["state"], java["subject"]) == ("missing", "Java")
    assert java["remedy"] in second
    assert [found["remedy"] for found in others if found["state"] == "ok"] == [""] * len(others)


@pytest.mark.parametrize(("encoding", "state"), [("UTF-8", doctor.OK), ("ANSI_X3.4-1968", doctor.HINT)])
def test_the_doctor_says_in_which_letters_java_spells_names(tmp_path, monkeypatch, encoding, state):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").write_text(f"#!/bin/sh\necho '    sun.jnu.encoding = {encoding}' >&2\n")
    (tmp_path / "bin" / "java").chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    [found] = doctor._locale()
    assert (found.state, encoding in found.detail, "LC_ALL=C.UTF-8" in found.remedy) == (state, True, True)


@pytest.mark.parametrize(
    ("spark", "old", "new"), [("3.5.9", doctor.OK, doctor.MISSING), ("4.1.4", doctor.MISSING, doctor.OK)]
)
def test_the_doctor_knows_javas_that_spark_does_not_run_on(tmp_path, monkeypatch, spark, old, new):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "_version", {"pyspark": spark}.get)
    for version, state in (("21.0.2", new), ("17.0.9", doctor.OK), ("1.8.0_392", old)):
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        java.chmod(0o755)
        [found] = doctor._java()
        assert found.state == state


@pytest.mark.promise(
    "install",
    "The doctor says where a host or a user without a name would keep Spark from starting.",
    kind="a machine that is looked at less closely than Spark does",
)
def test_the_doctor_knows_hosts_and_users_without_a_name(monkeypatch):
    assert [found.state for found in (*doctor._host(), *doctor._user())] == [doctor.OK, doctor.OK]
    monkeypatch.setattr(doctor.socket, "gethostname", lambda: "no-such-host.invalid")
    monkeypatch.setattr(doctor.os, "getuid", lambda: 4_000_000)
    assert [found.state for found in (*doctor._host(), *doctor._user())] == [doctor.MISSING, doctor.MISSING]


@pytest.fixture
def small_set(tmp_path, monkeypatch):
    """A set of one small file, and a client that brings what it is told to."""
    good = b"label,pixel1\n0,7\n"
    wanted = fetch.DataSet(
        "them/letters", {"letters.csv": fetch.ExpectedFile(len(good), hashlib.sha256(good).hexdigest())}
    )
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")

    def client(script):
        (tools / "kaggle").write_text(f"#!/bin/sh\n{script}\n")
        (tools / "kaggle").chmod(0o755)

    return wanted, client


def test_a_set_is_fetched_checked_and_not_fetched_again(small_set, tmp_path, capsys):
    wanted, client = small_set
    client('[ "$4" = them/letters ] && mkdir "$6/deep" && printf "label,pixel1\\n0,7\\n" > "$6/deep/letters.csv"')
    fetch.fetch(wanted, tmp_path / "out")
    assert (tmp_path / "out" / "letters.csv").read_text() == "label,pixel1\n0,7\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["letters.csv"]
    client("exit 1")
    fetch.fetch(wanted, tmp_path / "out")
    assert "as it must be" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('printf "label,pixel1\\n0,8\\n" > "$6/letters.csv"', "its SHA-256 is"),
        ('printf "label" > "$6/letters.csv"', "5 bytes in place of 17"),
        ("true", "letters.csv is not in what Kaggle sent"),
        ("echo 403 - Forbidden >&2; exit 1", "Kaggle's client says: 403 - Forbidden; check the network"),
    ],
)
def test_what_is_not_as_it_must_be_is_named_and_nothing_is_left(small_set, tmp_path, script, words):
    wanted, client = small_set
    client(script)
    with pytest.raises(AslsparkError, match=words):
        fetch.fetch(wanted, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_without_kaggles_client_one_line_says_what_to_do(tmp_path):
    found = aslspark("fetch", "sign-mnist", "--out", str(tmp_path / "out"), env={**os.environ, "PATH": str(tmp_path)})
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1
    assert "pip install kaggle" in found.stderr
    assert "kaggle.com/datasets/datamunge/sign-language-mnist" in found.stderr


@pytest.mark.long
def test_installed_the_command_finds_its_jobs_and_its_page(tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(REPOSITORY, tree, ignore=shutil.ignore_patterns(".git", "runs", "build", "*.egg-info", ".*_cache"))
    words = ["-m", "pip", "install", "--no-deps", "--no-build-isolation", "--quiet", "--target", str(tmp_path / "site")]
    subprocess.run([sys.executable, *words, str(tree)], check=True, capture_output=True, text=True)
    alone = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    found = subprocess.run(
        [str(tmp_path / "site" / "bin" / "aslspark"), "evaluate", "--help"],
        env=alone,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, "--grad-cam" in found.stdout) == (0, True), found.stderr
    assert (tmp_path / "site" / "aslspark" / "serving" / "page" / "index.html").is_file()


BROKEN = {
    "crashes": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashes: ended by signal 11 (Segmentation"),
    "lacks": ("raise ImportError('libGL.so.1: cannot open shared object file')", "lacks: ImportError: libGL.so.1"),
    "ends": ("import os; os._exit(3)", "ends: ended with 3"),
    "hangs": ("import threading; threading.Event().wait()", "hangs: no end after 2 s"),
}


@pytest.mark.promise(
    "install",
    "The doctor imports what each part imports, and one that crashes, hangs or lacks a file is one line.",
    kind="a package that is installed and cannot be used",
)
@pytest.mark.parametrize("name", BROKEN)
def test_the_doctor_imports_what_each_part_imports(tmp_path, monkeypatch, capsys, name):
    code, line = BROKEN[name]
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    if name == "hangs":
        monkeypatch.setattr(doctor, "IMPORT_SECONDS", 2.0)
        monkeypatch.setattr(progress, "FIRST_SECONDS", 60.0)
    part = doctor.Part(("pytest",), ("json", name, "never_reached"), "install it again")
    monkeypatch.setattr(doctor, "CHECKS", (lambda: doctor._packages([part]), doctor._user))
    doctor.main([])
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"note    package      pytest {pytest.__version__} does not import: {line}"), said
    busy = "importing it takes long on a busy machine or a cold disk: look again; else " if name == "hangs" else ""
    assert (len(said), said[1].strip(), said[2][:7]) == (3, f"-> {busy}install it again", "ok     ")


def test_the_doctor_passes_what_imports():
    [found] = doctor._packages([doctor.PARTS[0]])
    assert found.state == doctor.OK
    absent = doctor.Part(("no-such-distribution",), ("json",), "install it")
    assert doctor._package(absent) == (doctor.HINT, "package", "no no-such-distribution", "install it")


GROUPS = {
    "cgroup v2": ("0::/docker/a", "docker", ("memory.max", "memory.current", "inactive_file")),
    "cgroup v2, seen from inside": ("0::/", ".", ("memory.max", "memory.current", "inactive_file")),
    "cgroup v1": (
        "3:cpuset:/\n4:memory:/docker/a",
        "memory/docker/a",
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ),
    "cgroup v1, seen from inside": (
        "4:cpu,memory:/docker/a",
        "memory",
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ),
}


@pytest.mark.promise(
    "install",
    "The doctor says where a container may use less memory than Spark's driver and a worker take.",
    kind="a limit that kills a job without a word",
)
@pytest.mark.parametrize("kind", GROUPS)
def test_the_doctor_compares_a_containers_memory_with_what_the_driver_is_given(tmp_path, monkeypatch, kind):
    listed, folder, (limit, usage, cached) = GROUPS[kind]
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(f"MemTotal: {64 << 20} kB\nMemAvailable: {32 << 20} kB\nHugePages: 0\n")
    (tmp_path / "proc" / "self" / "cgroup").write_text(f"{listed}\n")
    group = tmp_path / "cgroup" / folder
    group.mkdir(parents=True)
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    (tmp_path / "spark-defaults.conf").write_text("spark.master local[*]\nspark.driver.memory   3g\n")

    def looked_at(limit_in_bytes):
        (group / limit).write_text(f"{limit_in_bytes}\n")
        (group / usage).write_text(f"{1 << 30}\n")
        (group / "memory.stat").write_text(f"anon 7\n{cached} {1 << 29}\n")
        [found] = doctor._memory(tmp_path / "proc", tmp_path / "cgroup")
        return found

    found = looked_at(3 << 30)
    assert (found.state, found.detail[:43]) == (doctor.HINT, "2.5 of 3.0 GiB that this container may use ")
    assert "spark.driver.memory=3g and a worker take 4" in found.detail
    assert f"set spark.driver.memory=1g in {tmp_path / 'spark-defaults.conf'}" in found.remedy
    assert looked_at(8 << 30).state == doctor.OK
    unlimited = looked_at("max" if limit == "memory.max" else 9223372036854771712)
    assert (unlimited.state, unlimited.detail[:26]) == (doctor.OK, "32.0 of 64.0 GiB are free;")


def test_the_doctor_says_where_the_networks_that_find_hands_are(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    [found] = doctor._hand_networks()
    assert (found.state, found.detail) == (doctor.HINT, f"no networks in {tmp_path}")
    assert found.remedy.endswith("aslspark fetch hand-models")
    for name in NETWORK_FILES:
        (tmp_path / name).write_bytes(b"a network")
    assert doctor._hand_networks() == [(doctor.OK, "hands", f"palm.onnx and landmarks.onnx in {tmp_path}", "")]


def test_the_doctor_looks_at_the_disk_where_spark_spills(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{tmp_path},/elsewhere")
    found = doctor._disk(tmp_path)
    assert [line.subject for line in found] == ["disk", "disk", "shared"]
    assert found[0].detail.endswith(f" GiB are free in {tmp_path}")
    monkeypatch.setattr(doctor, "LEAST_DISK", 1e9)
    monkeypatch.setattr(doctor, "LEAST_SHARED", 1e9)
    assert {line.state for line in doctor._disk(tmp_path)} == {doctor.HINT}
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(tmp_path / "nowhere"))
    assert "cannot be looked at" in doctor._disk(tmp_path)[0].detail
