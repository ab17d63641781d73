"""What is wrong with a command line is said before Spark starts, in one line that says what was meant."""

import sys

import pytest
from conftest import REPOSITORY

from aslspark.cli import settings as listing
from aslspark.cli.command import main_of
from aslspark.cli.early_checks import (
    require_bundles,
    require_new_out,
    require_new_run,
    require_packages,
    require_paths,
)
from aslspark.common.command_line import ArgumentParser, next_command
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import declarations, load_config
from aslspark.data.files.table_endings import TABLE_ENDINGS
from aslspark.images.endings import PICTURE_ENDINGS
from aslspark.training.unfinished import CHECKPOINTS, alone, unfinished_folder


@pytest.fixture
def parser():
    made = ArgumentParser(prog="aslspark train")
    made.add_argument("--epochs")
    made.add_argument("--out", required=True)
    made.add_argument("--model", choices=("forest", "mlp"))
    return made


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--ephocs", "3"], "--ephocs: there is no such option; did you mean --epochs?"),
        (["--out", "o", "--ephocs=3"], "--ephocs: there is no such option; did you mean --epochs?"),
        (["--out", "o", "--model", "forst"], "--model forst: there is no such choice; did you mean forest?"),
        (["--out", "o", "--model", "xyz"], "--model xyz: there is no such choice; choose one of forest, mlp"),
        (["--out", "o", "more"], "more: it belongs to no option"),
        ([], "the following arguments are required: --out"),
    ],
)
def test_a_command_line_that_is_wrong_is_one_line_with_what_was_meant(parser, capsys, words, line):
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {line}; aslspark train --help names all\n"


def test_a_command_line_that_is_right_is_read_also_where_options_are_shortened(parser):
    options = parser.parse_args(["--out", "o", "--ep", "3", "--model", "mlp"])
    assert (options.out, options.epochs, options.model) == ("o", "3", "mlp")


def test_a_path_that_is_not_there_is_named_with_the_nearest(tmp_path, monkeypatch):
    (tmp_path / "letters.csv").write_text("")
    require_paths("--data", [str(tmp_path / "letters.csv"), f"file:{tmp_path}"])
    with pytest.raises(AslsparkError, match=r"--data .*leters\.csv: it does not exist; did you mean letters\.csv\?"):
        require_paths("--data", [str(tmp_path / "leters.csv")])
    with pytest.raises(AslsparkError, match=rf"it does not exist; there is {tmp_path}, and nothing of that below it"):
        require_paths("--data", [str(tmp_path / "no" / "such" / "letters.csv")])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AslsparkError, match=r"did you mean letters\.csv\? \(a table of Spark's catalog is table:leter"):
        require_paths("--data", ["leters.csv"])
    for name in (*(f"a{ending}" for ending in (*TABLE_ENDINGS, *PICTURE_ENDINGS)), "a.parquet", "a.zip"):
        with pytest.raises(AslsparkError, match=f"--data {name}: it does not exist"):
            require_paths("--data", [name])
    with pytest.raises(AslsparkError, match="--folder come: it does not exist"):
        require_paths("--folder", ["come"], tables=False)
    with pytest.raises(AslsparkError, match="--model bundle: there is no such folder; give the --out of a training"):
        require_bundles("--model", ["bundle", "s3://bucket/bundle"])
    require_bundles("--model", ["letters"])  # the package's own


ELSEWHERE = ["main.signs.pictures", "pictures", "table:pictures", "s3://bucket/letters.csv", "dbfs:/x", "/no/*.csv"]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_what_spark_alone_can_find_is_left_to_spark(path):
    require_paths("--data", [path])


@pytest.mark.parametrize("variable", ["HADOOP_CONF_DIR", "SPARK_REMOTE", "DATABRICKS_RUNTIME_VERSION"])
def test_where_plain_paths_may_be_of_another_file_system_they_are_left_to_spark(variable, monkeypatch, tmp_path):
    monkeypatch.setenv(variable, "here")
    require_paths("--data", ["/no/such/letters.csv"])
    require_new_out(str(tmp_path))


def test_an_out_that_is_there_is_named(tmp_path):
    require_new_out(str(tmp_path / "new"))
    require_new_out("s3://bucket/there")
    with pytest.raises(AslsparkError, match="it exists already"):
        require_new_out(str(tmp_path))


@pytest.fixture
def unfinished(tmp_path):
    """The folder of a run that has kept an epoch."""
    folder = unfinished_folder(tmp_path / "bundle")
    (folder / CHECKPOINTS).mkdir(parents=True)
    (folder / CHECKPOINTS / "epoch-0001.npz").write_bytes(b"")
    return folder


def test_a_run_that_did_not_come_to_its_end_is_gone_on_with_or_named(unfinished, tmp_path):
    require_new_run(str(tmp_path / "bundle"), resume=True)
    with pytest.raises(AslsparkError, match=f"{unfinished} holds a run that did not come to its end; go on with it"):
        require_new_run(str(tmp_path / "bundle"), resume=False)
    require_new_run(str(tmp_path / "other"), resume=False)
    with pytest.raises(AslsparkError, match=r"--resume: \S+other.unfinished holds no run to go on with"):
        require_new_run(str(tmp_path / "other"), resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.unfinished"]


def test_a_run_that_another_job_is_at_is_not_taken_for_one_that_ended(unfinished, tmp_path):
    with alone(unfinished), pytest.raises(AslsparkError, match="another job is at work on it; choose another --out"):
        require_new_run(str(tmp_path / "bundle"), resume=False)


def test_a_training_job_says_so_before_spark_starts(unfinished, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aslspark.common.spark_session", None)
    job = main_of("train-cnn")
    with pytest.raises(AslsparkError, match="holds a run that did not come to its end"):
        job(["--out", str(tmp_path / "bundle")])


def test_a_framework_that_is_missing_is_named_before_spark_starts(monkeypatch):
    config = load_config(None, ["training.framework=torch", "training.launcher=torch"])
    require_packages(config, trains=True)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises((ModuleNotFoundError, ValueError)) as error:
        require_packages(config, trains=True)
    assert "safetensors" in str(error.value)
    require_packages(config)  # a job that trains nothing does without


def test_the_next_command_is_spelled_as_this_one_was(monkeypatch):
    words = ("train-cnn", "--data", "my letters.csv", "--out", "DIR")
    monkeypatch.setattr(sys, "argv", ["aslspark ingest"])
    assert next_command(*words) == "aslspark train-cnn --data 'my letters.csv' --out DIR"
    monkeypatch.setattr(sys, "argv", [f"{REPOSITORY}/jobs/ingest.py"])
    assert next_command(*words).startswith(f"spark-submit {REPOSITORY}/jobs/train_cnn.py --data ")
    assert next_command("serve", "--model", "runs/mine") == "aslspark serve --model runs/mine"  # which is no job
    monkeypatch.setattr(sys, "argv", ["/usr/lib/ipykernel_launcher.py"])
    assert next_command(*words) == ""


def test_every_setting_is_listed_with_default_range_and_meaning(capsys):
    listing.main([])
    said = capsys.readouterr().out
    for name, setting in declarations().items():
        assert f"\n{name} = " in f"\n{said}"
        assert setting.metadata["meaning"].split()[0] in said
    listing.main(["split.kind"])
    assert capsys.readouterr().out == "split.kind = block\n    what is kept together [block, signer, source, random]\n"
    listing.main(["split"])
    assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith("split.")]) == 5


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("training.epochs", "a whole number, 1 or more"),
        ("network.dropout", "a number from 0 to 0.9"),
        ("augment.holes_least", "a whole number from 1 to 64, at most holes_most"),
        ("hands.on", "true or false"),
        ("pictures.roots", "words"),
    ],
)
def test_what_a_setting_may_be_is_said_in_words(name, values):
    assert [setting.values for setting in listing.settings_of(name)] == [values]


def test_a_part_that_there_is_not_is_named_with_the_nearest():
    with pytest.raises(AslsparkError, match="traning: there is no such part or setting; did you mean training"):
        listing.main(["traning"])
    with pytest.raises(AslsparkError, match="xyz: there is no such part or setting; the parts are split, pictures"):
        listing.main(["xyz"])
