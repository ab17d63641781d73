"""What is changed in other libraries: that there is still a reason, that it works, and what another version gets."""

import subprocess
import sys

import pytest

from aslspark.common.patches import UNUSED, imported_without_unused

IMPORTS = {
    "tensorflow": "import tensorflow; tensorflow.keras.Model",
    "tensorboard": "import horovod.spark.torch",
}


@pytest.fixture
def tensorboard_of(tmp_path, monkeypatch):
    """What Python reads of an installed version of tensorboard."""

    def installed(version):
        about = tmp_path / f"tensorboard-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tensorboard\nVersion: {version}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return installed


def modules_after(code):
    """What a fresh interpreter holds."""
    done = subprocess.run([sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return set(done.stdout.decode().split())


def test_each_library_has_a_test():
    assert IMPORTS.keys() == UNUSED.keys()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("library", UNUSED)
def test_a_library_imports_what_is_not_needed_unless_it_is_kept_from_it(library):
    pytest.importorskip("horovod")
    unused = set(UNUSED[library].modules)
    assert unused <= modules_after(IMPORTS[library]), "there is nothing left to do: take it out of UNUSED"
    kept_from = "from aslspark.common.patches import imported_without_unused\n"
    kept_from += f"with imported_without_unused({library!r}):\n    {IMPORTS[library]}"
    assert not unused & modules_after(kept_from)


@pytest.mark.long
@pytest.mark.slow
def test_what_was_left_out_can_be_imported_later():
    code = f"with imported_without_unused('tensorflow'):\n    {IMPORTS['tensorflow']}\nimport scipy.stats"
    assert "scipy.stats" in modules_after(f"from aslspark.common.patches import imported_without_unused\n{code}")


def test_another_version_is_imported_as_it_is_and_a_line_says_so(tensorboard_of, caplog):
    caplog.set_level("INFO", "aslspark")
    tensorboard_of("9.9.1")
    with imported_without_unused("tensorboard"):
        assert sys.modules.get("tensorflow", "is not hidden") is not None
    (record,) = caplog.records
    assert record.getMessage().startswith("tensorboard 9.9.1 is imported with tensorflow, which is not used here")
    assert record.getMessage().endswith("tried with 2.15.x and 2.21.x alone")


def test_a_library_that_is_imported_already_stays(tensorboard_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", other := sys.modules["subprocess"])
    tensorboard_of("2.15.2")
    with imported_without_unused("tensorboard"):
        assert sys.modules["tensorflow"] is other
    assert sys.modules["tensorflow"] is other


def test_an_import_that_fails_hides_nothing_afterwards(tensorboard_of, monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    tensorboard_of("2.15.2")
    with pytest.raises(ModuleNotFoundError), imported_without_unused("tensorboard"):
        import tensorflow  # noqa: F401
    assert "tensorflow" not in sys.modules
