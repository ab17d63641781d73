"""What README and notebooks showed under another name, and what files in the wild name."""

import importlib
import json
import subprocess
import sys

import pytest
from pyspark.ml import PipelineModel
from serving_bundles import network

from aslspark.common import former_names
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.scoring import SignClassifierModel

SHOWN = [
    ("aslspark.config", "load_config"),
    ("aslspark.decoding", "pixels_of"),
    ("aslspark.evaluation.comparison", "compare_bundles"),
    ("aslspark.evaluation.cross_validation", "cross_validate"),
    ("aslspark.evaluation.shown", "one_of_each_label"),
    ("aslspark.evaluation.shown", "as_read"),
    ("aslspark.notebook", "widgets"),
    ("aslspark.paths", "local_path"),
    ("aslspark.samples", "TEST"),
    ("aslspark.scoring", "SignClassifierModel"),
    ("aslspark.scoring", "write_scores"),
    ("aslspark.sources.drawn.files", "draw_pictures"),
    ("aslspark.sources.to_score", "rows_to_score"),
    ("aslspark.tracking_model", "_load_pyfunc"),
    ("aslspark.training.data", "training_data"),
    ("aslspark.training.job", "train_cnn"),
    ("aslspark.training.job", "train_baseline"),
    ("aslspark.tuning.search", "search"),
]


PROGRAM = """
import importlib, json, sys, warnings

found = []
for module, name in json.loads(sys.argv[1]):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FutureWarning)
        thing = getattr(importlib.import_module(module), name)
    lines = [str(one.message) for one in caught]
    found.append([getattr(thing, "__module__", None), [line for line in lines if line.startswith("aslspark")]])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def by_old_name():
    """Where each thing lives, and what is said when it is asked for, in a Python that has imported nothing of ours."""
    words = [sys.executable, "-c", PROGRAM, json.dumps(SHOWN)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return dict(zip(SHOWN, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize(("module", "name"), SHOWN)
def test_what_was_shown_can_still_be_imported_by_its_old_name(module, name, by_old_name):
    home, _ = by_old_name[module, name]
    assert home not in former_names.MODULES


def test_one_line_names_the_new_module(by_old_name):
    _, lines = by_old_name["aslspark.config", "load_config"]
    assert lines == ["aslspark.config is now aslspark.common.settings"]
    _, lines = by_old_name["aslspark.training.data", "training_data"]
    assert lines == ["aslspark.training.data.training_data is now aslspark.workflows.training_data.training_data"]


def test_whoever_loads_a_model_that_mlflow_kept_is_told_nothing(by_old_name):
    assert by_old_name["aslspark.tracking_model", "_load_pyfunc"][1] == []


def test_the_old_module_holds_the_very_objects_of_the_new_one():
    sys.modules.pop("aslspark.config", None)
    with pytest.warns(FutureWarning, match="is now aslspark.common.settings"):
        old = importlib.import_module("aslspark.config")
    assert old.Config is importlib.import_module("aslspark.common.settings").Config


def test_other_names_are_not_answered_to():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("aslspark.never_was")
    with pytest.raises(AttributeError, match="never_was"):
        importlib.import_module("aslspark.training.data").never_was  # noqa: B018


def test_calls_that_notebooks_showed_work_and_name_the_new_ones(spark, tmp_path):
    from aslspark.evaluation.fold_options import FoldOptions
    from aslspark.workflows.compare import compare_bundles
    from aslspark.workflows.cross_validate import cross_validate

    taken = str(tmp_path)
    with (
        pytest.warns(FutureWarning, match=r"workflows\.compare\.compare_bundles is now aslspark\.compare"),
        pytest.raises(AslsparkError, match="exists already"),
    ):
        compare_bundles(spark, {}, {"drawn": ["a.csv"]}, taken)
    with (
        pytest.warns(FutureWarning, match=r"FoldOptions\(\.\.\.\)\) is now aslspark\.cross_validate\(\.\.\., by="),
        pytest.raises(AslsparkError, match="exists already"),
    ):
        cross_validate(spark, ["a.csv"], taken, load_config(None, ["mllib.classifier=forest"]), FoldOptions(folds=2))


def test_a_pipeline_that_was_saved_under_the_old_name_is_loaded(spark, tmp_path):
    model = SignClassifierModel(network()).setThreshold(0.4)
    PipelineModel(stages=[model]).save(str(tmp_path / "saved"))
    (stage,) = (tmp_path / "saved" / "stages").iterdir()
    (metadata,) = (stage / "metadata").glob("part-*")
    content = metadata.read_text()
    assert '"aslspark.scoring.model.SignClassifierModel"' in content
    metadata.write_text(content.replace("aslspark.scoring.model.Sign", "aslspark.scoring.Sign"))
    (stage / "metadata" / f".{metadata.name}.crc").unlink()  # Hadoop's, over the bytes as they were
    (loaded,) = PipelineModel.load(str(tmp_path / "saved")).stages
    assert loaded.classifier == model.classifier
    assert loaded.getThreshold() == SignClassifierModel.load(str(stage)).getThreshold() == 0.4
