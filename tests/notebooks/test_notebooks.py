"""The notebooks, whole: with Databricks' widgets, in Jupyter, by spark-submit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from conftest import REPOSITORY

from aslspark.cli.notebook import show, widgets
from aslspark.common.errors import AslsparkError
from aslspark.data.synthetic.files import SIGNER_PATTERN, draw_pictures
from notebooks import to_ipynb

nbclient = pytest.importorskip("nbclient")

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("0*.py"))
QUICK = {
    "01": {"drawn_rows": "240"},
    "02": {"drawn_rows": "240", "epochs": "1", "trees": "3", "iterations": "3"},
    "03": {"drawn_signers": "3", "drawn_of_each": "1", "epochs": "1"},
    "04": {"drawn_rows": "240", "drawn_pictures": "24", "epochs": "1"},
    "05": {"drawn_rows": "240", "trials": "2", "epochs": "1"},
}
"""Settings with which a notebook is soon done."""


class Widgets:
    """What a notebook on Databricks finds as `dbutils.widgets`: a value that was set outweighs the usual one."""

    def __init__(self, given):
        self.given, self.there = given, {}

    def text(self, name, defaultValue, label=None):
        self.there[name] = str(self.given.get(name, defaultValue))

    def dropdown(self, name, defaultValue, choices, label=None):
        assert defaultValue in choices
        assert all(isinstance(choice, str) for choice in choices)
        self.text(name, defaultValue)

    def get(self, name):
        return self.there[name]


@pytest.fixture
def run(spark, tmp_path, capsys):
    """Run a notebook in this process, on the running session, and return the names that it leaves."""

    def run(number, **given):
        path = next(path for path in NOTEBOOKS if path.name.startswith(number))
        asked = Widgets({**QUICK[number], "out": str(tmp_path / "out"), **given})
        names = {"__name__": "__main__", "dbutils": SimpleNamespace(widgets=asked)}
        exec(compile(path.read_text(), str(path), "exec"), names)
        assert asked.given.keys() <= asked.there.keys(), "a setting that the notebook does not have"
        folder = Path(names["folder"].removeprefix("file://"))
        assert folder.parent == tmp_path / "out"
        said = capsys.readouterr().out
        assert "picture: " in said
        for line in said.splitlines():
            if line.startswith("picture: "):
                assert_picture(Path(line.removeprefix("picture: ")))
        return SimpleNamespace(**names, said=said, root=folder)

    return run


def assert_picture(path):
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 2000


def test_pictures_in_files_are_ingested_and_looked_at(run, spark, tmp_path):
    draw_pictures(spark, str(tmp_path / "mine"), count=72, seed=1, size=32, signers=3)
    assert len(list((tmp_path / "mine").rglob("signer2_*.png"))) == 24
    (tmp_path / "mine" / "B" / "signer0_torn.png").write_bytes(b"not a picture")
    left = run("01", data=str(tmp_path / "mine"), split="signer", signer_pattern=SIGNER_PATTERN, picture_size="24")
    assert left.samples.count() == 72
    by_signer = {
        (row["signer"], row["split"]): row["count"] for row in left.samples.groupBy("signer", "split").count().collect()
    }
    assert sorted(by_signer.values()) == [24, 24, 24]
    assert {split for _, split in by_signer} == {"train", "validation", "test"}
    assert "torn.png" in left.said
    assert (left.root / "samples.png").exists()
    assert left.said.rstrip().endswith(f"data: file://{left.root}/ingested")


@pytest.mark.long
def test_networks_and_baselines_are_trained_on_one_table_and_compared(run, ingested):
    left = run("02", data=ingested, models="keras forest")
    assert left.data == ingested
    right = {row["name"]: row["sets"]["test split"] for row in left.compared["bundles"]}
    assert right.keys() == {"keras", "forest"}
    for name, judged in right.items():
        assert json.loads((left.root / name / "metrics.json").read_text())["accuracy"] == judged["accuracy"]
        assert judged["judged_on"] == "the test split"
    for plot in ("keras/curves.png", "keras/augmented.png", "compared/grad_cam-1.png", "compared/scores.png"):
        assert f"picture: {left.root}/{plot}" in left.said
    assert left.said.rstrip().endswith(f"model: {left.bundles[left.best]}")


@pytest.mark.long
def test_each_signer_is_read_by_a_model_that_never_met_them(run):
    left = run("03", model="mlp")
    found = left.samples.where("hand.found is not null").count()
    assert found > 60, f"a hand in {found} of 72 pictures"
    assert [fold["tested_on"] for fold in left.folds["folds"]] == [f"signer signer{n}" for n in range(3)]
    assert len({row["signer"] for row in left.strangers.select("signer").collect()}) == 1
    assert len(left.answers) == 24
    for plot in ("ingested/hands.png", "strangers.png", "by-signer/folds.png", "model/groups.png"):
        assert f"picture: {left.root}/{plot}" in left.said


def test_a_dataframe_of_pictures_is_scored_and_no_row_is_lost(run, spark):
    left = run("04", threshold="1")
    table = spark.read.parquet(f"{left.folder}/scored").collect()
    assert len(table) == 25
    unread = [row for row in table if row["letter"] is None]
    assert [(Path(row["path"]).name, row["reason"]) for row in unread] == [("no_picture.png", unread[0]["reason"])]
    assert left.known == 24
    assert 0 <= left.right <= 24
    assert (left.root / "model" / "network.onnx").exists()
    assert f"{left.right} of 24 that were read are right" in left.said


@pytest.mark.long
def test_a_search_leaves_settings_for_the_second_notebook(run, tmp_path):
    optuna = pytest.importorskip("optuna")
    left = run("05")
    study = optuna.load_study(study_name="aslspark", storage=f"sqlite:///{left.root}/search/study.db")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE"]
    assert left.found["accuracy"] == max(trial.value for trial in study.trials)
    from aslspark.common.settings import load_config

    found = load_config(str(left.root / "search" / "best.yaml"))
    assert found.training.learning_rate == left.found["settings"]["training.learning_rate"]
    assert f"picture: {left.root}/search/history.png" in left.said
    assert left.said.rstrip().endswith("config: " + f"{left.folder}/search/best.yaml")


def test_settings_are_environment_variables_where_there_are_no_widgets(monkeypatch):
    usual = {"data": "", "epochs": 8, "framework": ("torch", "keras")}
    assert vars(widgets({}, **usual)) == {"data": "", "epochs": 8, "framework": "torch"}
    monkeypatch.setenv("ASLSPARK_EPOCHS", " 3 ")
    monkeypatch.setenv("ASLSPARK_FRAMEWORK", "keras")
    assert vars(widgets({}, **usual)) == {"data": "", "epochs": 3, "framework": "keras"}
    monkeypatch.setenv("ASLSPARK_EPOCHS", "few")
    with pytest.raises(AslsparkError, match="epochs=few: give a whole number, for example 8"):
        widgets({}, **usual)
    with pytest.raises(AslsparkError, match="framework=jax: choose one of torch, keras"):
        widgets({"dbutils": SimpleNamespace(widgets=Widgets({"framework": "jax"}))}, **usual)


def test_a_picture_that_is_not_there_is_said(tmp_path):
    with pytest.raises(AslsparkError, match=r"none\.png: there is no such picture"):
        show(str(tmp_path / "none.png"))


def test_what_is_no_databricks_notebook_is_refused():
    with pytest.raises(ValueError, match="no Databricks notebook"):
        to_ipynb.as_percent("# %%\nprint(1)\n")


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ipynb")
    to_ipynb.main(str(folder))
    return folder


def test_every_cell_of_every_notebook_is_in_its_ipynb(converted):
    assert [path.stem for path in sorted(converted.iterdir())] == [path.stem for path in NOTEBOOKS]
    for path in NOTEBOOKS:
        cells = nbformat.read(converted / f"{path.stem}.ipynb", as_version=4).cells
        assert len(cells) == path.read_text().count("# COMMAND ----------") + 1
        assert cells[0].cell_type == "markdown"
        assert cells[0].source.startswith(f"# {int(path.stem[:2])}. ")
        code = [line for cell in cells if cell.cell_type == "code" for line in cell.source.splitlines()]
        assert [line for line in path.read_text().splitlines() if line and line[0] != "#"] == [
            line for line in code if line and line[0] != "#"
        ]
        assert not any("MAGIC" in cell.source or "COMMAND" in cell.source for cell in cells)


def environment(number, tmp_path):
    given = {f"ASLSPARK_{name.upper()}": value for name, value in QUICK[number].items()}
    here = {"ASLSPARK_OUT": str(tmp_path / "out"), "SPARK_CONF_DIR": str(REPOSITORY / "conf")}
    return {**os.environ, "PYSPARK_PYTHON": sys.executable, **here, **given}


def run_in_jupyter(path, tmp_path):
    """Run an .ipynb in a kernel of its own, and return it with what its cells gave."""
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=1200, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute(env=environment(path.name[:2], tmp_path))
    return notebook


def pictures_in(notebook):
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]


@pytest.mark.slow
@pytest.mark.long
def test_a_notebook_runs_in_jupyter_and_shows_its_pictures(converted, tmp_path):
    notebook = run_in_jupyter(converted / f"{NOTEBOOKS[0].stem}.ipynb", tmp_path)
    assert len(pictures_in(notebook)) == 1
    (folder,) = (tmp_path / "out").iterdir()
    assert json.loads((folder / "ingested" / "ingest.json").read_text())["kept"] == 240


@pytest.mark.long
def test_a_notebook_runs_by_spark_submit_and_says_where_its_pictures_are(tmp_path):
    command = [str(Path(sys.executable).parent / "spark-submit"), str(NOTEBOOKS[0])]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment("01", tmp_path), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (folder,) = (tmp_path / "out").iterdir()
    assert f"picture: {folder}/samples.png" in done.stdout
    assert_picture(folder / "samples.png")


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_runs_in_jupyter(path, converted, tmp_path):
    notebook = run_in_jupyter(converted / f"{path.stem}.ipynb", tmp_path)
    assert pictures_in(notebook)
