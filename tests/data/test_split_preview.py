"""What no model could be trained on is refused by the names of pictures alone, with settings that would work."""

import re
from collections import Counter

import pytest
from PIL import Image

from aslspark.common.errors import AslsparkError
from aslspark.data.assign_splits import list_samples
from aslspark.data.discover_sources import open_sources
from aslspark.data.first_pass import count_sources
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.samples import TEST, TRAIN, VALIDATION
from aslspark.data.split_preview import Group, Needs, SampleListing, previewed_missing_labels, require_trainable
from aslspark.data.splits import SplitOptions
from aslspark.data.tables.pixel_layout import PIXELS
from aslspark.images.image_spec import ImageSpec

HANDS = SplitOptions(blocks=25, validation=0.04, test=0.04)


def listing(labels, signers=(None,), source="hands", split=None):
    rows = Counter(
        {Group(source, signer, label, split): count for signer in signers for label, count in labels.items()}
    )
    return SampleListing(rows, {"signer": [group.signer for group in rows], "source": [group.source for group in rows]})


def refused(listing, options, needs):
    with pytest.raises(AslsparkError) as error:
        require_trainable(listing, options, needs)
    assert "\n" not in str(error.value)
    return str(error.value)


THREE = {"A": 5, "B": 5, "C": 5}


@pytest.mark.promise(
    "input",
    "Data that no model could be trained on, as they would be divided, are refused before a picture is decoded, with "
    "settings that work.",
    kind="minutes of decoding for a split that is empty",
)
@pytest.mark.parametrize(
    ("listing", "options", "needs", "words"),
    [
        (listing(THREE), HANDS, Needs(), ["split.blocks=25", "none of 15 samples", "test", "set split.blocks=5"]),
        (listing({"A": 1, "B": 2}), SplitOptions(), Needs(), ["none of 3 samples", "give more data"]),
        (listing({"A": 5}), HANDS, Needs(), ["labelled A", "at least two letters"]),
        (listing({"A": 5, "B": 5}, split=TEST), HANDS, Needs(), ["left to train on", "give more data"]),
        (listing(THREE), SplitOptions(test=0), Needs(), ["split.test=0", "set split.test=0.1 split.blocks=5"]),
        (listing(THREE), SplitOptions(blocks=5, validation=0), Needs((TEST, VALIDATION)), ["set split.validation=0.1"]),
        (
            listing({"A": 10, "B": 1}),
            SplitOptions(),
            Needs(processes=2),
            ["training.num_proc=2", "only 1 validation sample ", "set "],
        ),
        (listing(THREE), SplitOptions(kind="signer"), Needs(), ["name no signer", "split.kind=block split.blocks=5"]),
        (listing(THREE, ["x"]), SplitOptions(kind="signer"), Needs(), ["1 signer", "split.kind=block"]),
        (listing(THREE, ["x", "y"]), SplitOptions(kind="signer"), Needs(), ["2 signer", "set split.validation=0,"]),
        (listing(THREE), SplitOptions(kind="source"), Needs(), ["1 source", "split.kind=block"]),
        (listing(THREE), SplitOptions(kind="signer"), None, ["name no signer", "split.kind=block"]),
    ],
)
def test_what_cannot_be_trained_on_is_refused_with_what_would_work(listing, options, needs, words):
    message = refused(listing, options, needs)
    assert all(word in message for word in words), message


def settings_of(message):
    words = message.partition("set ")[2].partition(", or ")[0].split()
    named = dict(word.removeprefix("split.").split("=") for word in words if word.startswith("split."))
    kinds = {"kind": str, "blocks": int, "validation": float, "test": float}
    return {name: kinds[name](value) for name, value in named.items()}, "training.num_proc=1" in words


@pytest.mark.parametrize("kind", ["block", "signer", "source"])
@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("processes", [1, 2])
def test_settings_that_are_proposed_do_work(kind, count, processes):
    proposed = 0
    for signers in (["x"], ["x", "y"], ["x", "y", "z"]):
        given = listing({"A": count, "B": count + 1, "C": 1}, signers)
        for options in (SplitOptions(kind=kind), SplitOptions(kind=kind, blocks=25, validation=0.04, test=0.04)):
            needs = Needs(processes=processes)
            try:
                require_trainable(given, options, needs)
            except AslsparkError as error:
                settings, alone = settings_of(str(error))
                if settings or alone:
                    require_trainable(given, SplitOptions(**{**vars(options), **settings}), Needs() if alone else needs)
                    proposed += 1
    assert proposed or kind == "block" or count == 1


def test_what_can_be_trained_on_passes_and_nothing_is_asked_where_nothing_is_trained():
    require_trainable(listing(THREE), SplitOptions(blocks=5), Needs(processes=2))
    require_trainable(listing({"A": 1}), HANDS, None)
    require_trainable(SampleListing(Counter()), HANDS, Needs())


def test_labels_that_a_split_would_lack_are_warned_of():
    assert previewed_missing_labels(listing(THREE), SplitOptions(blocks=5)) is None
    warning = previewed_missing_labels(listing(THREE), HANDS)
    assert "test would have no sample of A, B, C" in warning
    assert "with split.blocks=5 each split would have samples of each label" in warning
    given = listing({"A": 10, "B": 10}).rows + listing({"C": 3}, source="other", split=TEST).rows
    assert "validation would have no sample of C; give more samples" in previewed_missing_labels(
        SampleListing(given), SplitOptions()
    )
    judged = listing(THREE, source="other", split=TEST)
    assert previewed_missing_labels(judged, SplitOptions(validation=0.1, test=0.0)) is None
    assert listing(THREE).split_counts(SplitOptions(blocks=5))[TRAIN] == {"A": 3, "B": 3, "C": 3}


def fill(folder, counts, content=None):
    """Write so many pictures of each label, or files of `content`."""
    for label, count in counts.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            path = folder / label / f"hand{number % 3}_{number}.png"
            if content is None:
                colour = (number * 20, ord(label), 99)
                Image.new("RGB", (20, 20), colour).save(path)
            else:
                path.write_bytes(content)
    return str(folder)


@pytest.mark.parametrize("kind", ["block", "random"])
def test_no_picture_is_decoded_for_what_names_alone_foretell(spark, tmp_path, kind):
    folder = fill(tmp_path / "hands", THREE, b"not a picture: read, it would be quarantined")
    options = SplitOptions(kind=kind, blocks=25, validation=0.04, test=0.04)
    with pytest.raises(AslsparkError, match=r"none of 15 samples would fall into the test.*set .*split.blocks=5"):
        ingest_sources(spark, [folder], str(tmp_path / "out"), split=options, needs=Needs())
    assert not (tmp_path / "out").exists()


@pytest.mark.promise(
    "input",
    "Counts that are foretold from names and labels are the counts that an ingest comes to.",
    kind="a warning or a refusal that goes by another split than the ingest makes",
)
@pytest.mark.parametrize("kind", ["block", "signer", "random"])
def test_rows_are_divided_as_it_was_foretold(spark, tmp_path, kind):
    given = [fill(tmp_path / "hands", {"A": 7, "B": 5, "C": 1})]
    if kind == "block":
        rows = [f"{number},{','.join(['7'] * PIXELS)}" for number in [0] * 5 + [2] * 13]
        header = ",".join(["label", *(f"pixel{number}" for number in range(1, PIXELS + 1))])
        (tmp_path / "table.csv").write_text("\n".join([header, *rows]) + "\n")
        given.append(str(tmp_path / "table.csv"))
    pictures = PictureOptions(form=ImageSpec(28, 28, 1), signer_pattern=re.compile(r"hand(\d)_"))
    options = SplitOptions(kind=kind, blocks=7, validation=0.2, test=0.2)
    opened = open_sources(spark, given, [], str(tmp_path / "out"), pictures)
    first = count_sources(spark, opened, str(tmp_path / "lines"), pictures)
    foretold = list_samples(spark, opened, first, options).split_counts(options)
    report = ingest_sources(spark, given, str(tmp_path / "out"), split=options, pictures=pictures)
    assert {split: dict(counts) for split, counts in foretold.items()} == {
        split: {label: counts[split] for label, counts in report.labels.items() if counts.get(split)}
        for split in foretold
    }


@pytest.mark.parametrize(("processes", "works"), [(1, True), (3, True), (4, False)])
def test_each_process_needs_a_row_to_validate_with_and_one_is_enough(processes, works):
    # Ten rows of each of three labels: 24 to train on, three to validate with, three to test on.
    needs, thirty = Needs(processes=processes), listing({"A": 10, "B": 10, "C": 10})
    if works:
        require_trainable(thirty, SplitOptions(), needs)
    else:
        assert "training.num_proc=4: only 3 validation samples" in refused(thirty, SplitOptions(), needs)


@pytest.mark.parametrize(("processes", "works"), [(24, True), (25, False)])
def test_each_process_needs_a_row_to_train_on_and_one_is_enough(processes, works):
    needs, options = Needs(processes=processes), SplitOptions(validation=0, test=0.2)
    thirty = listing({"A": 10, "B": 10, "C": 10})
    if works:
        require_trainable(thirty, options, needs)
    else:
        assert "only 24 training samples" in refused(thirty, options, needs)
