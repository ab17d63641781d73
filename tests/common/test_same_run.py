"""Runs that are taken up again with something else: refused in one line that names what."""

import numpy as np
import pytest

from aslspark.common.errors import AslsparkError
from aslspark.common.redacted_files import write_json
from aslspark.common.same_run import require_same_run
from aslspark.common.settings import load_config
from aslspark.workflows.training_data import training_data

HEADER = ",".join(["label", *(f"pixel{number}" for number in range(1, 785))])
FOREST = ["mllib.classifier=forest", "mllib.depth=3", "split.blocks=5"]


def refusal_of(before, now, **words):
    with pytest.raises(AslsparkError) as error:
        require_same_run("--out x: the run", before, now, "give the same", **words)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.promise(
    "tested",
    "What a run was begun with is compared name by name when it is taken up again: the line names what differs, both "
    "values and what would work, with keys masked.",
    kind="a run goes on with other data or settings than it was given",
)
def test_what_differs_is_named_with_both_values_and_what_would_work():
    before = {"data": ["a.csv", "b.csv"], "split": {"kind": "block", "seed": 1}, "space": {"mllib.trees": [3, 5]}}
    assert refusal_of(before, {**before, "split": {"kind": "block", "seed": 2}}) == (
        "--out x: the run was begun with split.seed=1, not 2; give the same"
    )
    options = {"data": "--data", "space": "--space"}
    assert "with --data a.csv, b.csv, not c.csv;" in refusal_of(before, {**before, "data": ["c.csv"]}, options=options)
    assert "with --data a.csv, b.csv, not (none);" in refusal_of(before, {**before, "data": []}, options=options)
    fewer = refusal_of(before, {**before, "space": {"mllib.trees": [3]}}, options=options)
    assert "with --space mllib.trees=3, 5, not 3;" in fewer
    gone = refusal_of(before, {**before, "space": {"mllib.depth": [3]}}, options=options)
    assert "with --space mllib.depth=None, not 3;" in gone
    secret = refusal_of({"data": ["s3a://KEY:SECRET@bucket/a"]}, {"data": ["s3a://KEY:SECRET@other/a"]})
    assert "SECRET" not in secret


def test_what_may_differ_may_and_values_are_those_that_json_gives_back(tmp_path):
    before, now = {"a": {"b": 1, "c": (1, 2)}, "t": {"x": 1}}, {"a": {"b": 2, "c": [1, 2]}, "t": {"x": 2}}
    require_same_run("", before, now, "", may_differ=("a.b", "t"))
    write_json(tmp_path / "begun.json", before)
    assert [path.name for path in tmp_path.iterdir()] == ["begun.json"]


def test_a_setting_that_a_run_was_begun_without_is_its_default():
    now = load_config(None, []).as_dict()
    before = {**now, "training": {name: value for name, value in now["training"].items() if name != "clip_norm"}}
    require_same_run("", before, now, "")
    changed = load_config(None, ["training.clip_norm=2"]).as_dict()
    assert "begun with training.clip_norm=0.0, not 2.0;" in refusal_of(before, changed)


def write_table(path, rows=60):
    noise = np.random.default_rng(5)
    lines = [f"{number % 2}," + ",".join(map(str, noise.integers(0, 255, 784))) for number in range(rows)]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return str(path)


@pytest.mark.promise(
    "tested",
    "What a job ingested for itself is used again for the same data, split, pictures and hands, and for no others.",
    kind="a run goes on with other data or settings than it was given",
)
def test_what_was_ingested_is_used_again_for_the_same_alone(spark, tmp_path):
    table, other = write_table(tmp_path / "a.csv"), write_table(tmp_path / "b.csv")
    (scratch := tmp_path / "scratch").mkdir()

    def fingerprint(data, *words, test_data=()):
        with training_data(spark, data, test_data, load_config(None, words), scratch) as found:
            return found.fingerprint

    first = fingerprint([table])
    assert fingerprint([table], "training.epochs=3") == first
    for given, named in (
        (([other],), r"--data \S+/a.csv, not \S+/b.csv"),
        (([str(tmp_path / "nowhere.csv")],), r"--data \S+/a.csv, not \S+/nowhere.csv"),
        (([],), r"--data \S+/a.csv, not \(none\)"),
        (([table], "split.blocks=5"), "split.blocks=10, not 5"),
        (([table], "pictures.size=32"), "pictures.size=64, not 32"),
        (([table], "hands.margin=0.5"), "hands.margin=0.25, not 0.5"),
    ):
        with pytest.raises(
            AslsparkError, match=f"scratch: what is ingested there was begun with {named}; give the same"
        ):
            fingerprint(*given)
    with pytest.raises(AslsparkError, match=r"--test-data \(none\), not \S+/b.csv"):
        fingerprint([table], test_data=[other])


@pytest.fixture(scope="module")
def search_of(spark, tmp_path_factory):
    """A search of one choice in two trials, begun; how to call it again with other words."""
    pytest.importorskip("optuna")
    from jobs import tune

    folder = tmp_path_factory.mktemp("searches")
    (folder / "space.yaml").write_text("mllib.trees: [3, 5]\n")
    write_table(folder / "a.csv")

    def call(space=None, data="a.csv", words=()):
        named = ["--data", str(folder / data), "--space", str(space or folder / "space.yaml")]
        tune.main([*named, "--out", str(folder / "search"), "--trials", "2", "--set", *FOREST, *words])

    call()
    return folder, call


@pytest.mark.long
@pytest.mark.promise(
    "tested",
    "A search goes on with the data, choices and settings that it was begun with, or is refused in one line.",
    kind="a run goes on with other data or settings than it was given",
)
def test_a_search_goes_on_with_what_it_was_begun_with_alone(search_of):
    folder, call = search_of
    before = {path: path.read_bytes() for path in (folder / "search").rglob("*.y*ml")}
    (folder / "other.yaml").write_text("mllib.trees: {low: 3, high: 5}\n")
    write_table(folder / "b.csv", rows=80)
    for given, named in (
        ({"space": folder / "other.yaml"}, r"--space mllib.trees=3, 5, not None"),
        ({"data": "b.csv"}, r"--data \S+/a.csv, not \S+/b.csv"),
        ({"words": ["split.seed=1"]}, "split.seed=42, not 1"),
        ({"words": ["pictures.size=32"]}, "pictures.size=64, not 32"),
        ({"words": ["hands.margin=0.5"]}, "hands.margin=0.25, not 0.5"),
        ({"words": ["mllib.depth=4"]}, "mllib.depth=3, not 4"),
    ):
        with pytest.raises(AslsparkError, match=f"was begun with {named}") as error:
            call(**given)
        assert "\n" not in str(error.value)
    call(words=["training.num_proc=1"])  # which may differ
    assert {path: path.read_bytes() for path in (folder / "search").rglob("*.y*ml")}.keys() == before.keys()


@pytest.mark.promise(
    "tested",
    "A search whose study lies in a database for several is refused, too, where it is given other data there.",
    kind="a run goes on with other data or settings than it was given",
)
def test_a_shared_study_is_of_one_table(spark, search_of, tmp_path):
    from aslspark.tuning.options import SearchOptions
    from aslspark.tuning.space import read_space
    from aslspark.workflows.tune import search

    folder, _ = search_of
    other, space = write_table(tmp_path / "c.csv", rows=40), read_space(str(folder / "space.yaml"))
    options = SearchOptions(trials=2, storage=f"sqlite:///{folder}/search/study.db")
    with pytest.raises(AslsparkError, match=r"the search was begun with --data of the fingerprint \w{64}, not \w{64}"):
        search(spark, [other], str(tmp_path / "search"), load_config(None, FOREST), space, options)


@pytest.mark.promise(
    "tested",
    "Other choices for a search that is there are named in one line.",
    kind="a run goes on with other data or settings than it was given",
)
def test_case_tune_other_choices(search_of, cases):
    _, call = search_of
    call(space=cases / "tune_other_choices" / "sp1b.yaml")
    with pytest.raises(AslsparkError, match=r"begun with --space mllib.trees=3, 5, not 3, 5, 8; go on with"):
        call(space=cases / "tune_other_choices" / "sp2b.yaml")


def test_a_run_of_an_earlier_version_goes_on_without_a_setting_that_has_no_meaning_any_more():
    before = {"settings": {"hands": {"seconds": 3.0, "looks": 2}}}
    require_same_run("--out x: the run", before, {"settings": {"hands": {"looks": 2}}}, "give the same")
    assert "looks" in refusal_of(before, {"settings": {"hands": {"looks": 3}}})
