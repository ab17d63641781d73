"""Who is read how well, and which letters are taken for one another."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw
from pyspark.sql import functions as F
from tables_with_hands import SCHEMA, SKIN, rows_with_hands

from aslspark.data.samples import pictures_of, read_samples
from aslspark.evaluation.calibration_plots import plot_groups
from aslspark.evaluation.confusable import choose_examples, confusable_groups, draw_confusable
from aslspark.evaluation.groups import (
    SIZE_BANDS,
    group_metrics,
    lab,
    palm_pixels,
    skin_band,
    typology_angle,
    with_groups,
)
from aslspark.evaluation.metrics import UNSCORED, wilson
from aslspark.images.hands.crop import hand_crop
from aslspark.images.hands.options import HandOptions


def colour(*rgb):
    return np.array([rgb], np.uint8)


def test_colours_become_those_that_the_commission_defines():
    # Bruce Lindbloom's calculator, sRGB at D65.
    for rgb, expected in (
        ((255, 255, 255), (100, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 255), (32.30, 79.20, -107.86)),
        ((10, 10, 10), (2.74, 0, 0)),
    ):
        assert lab(colour(*rgb))[0] == pytest.approx(expected, abs=0.06)


def test_the_typology_angle_is_that_of_the_median_and_bands_are_told_by_it():
    light, dark = SKIN["ann"], SKIN["cyd"]
    lightness, _, yellow = lab(colour(*light))[0]
    expected = np.degrees(np.arctan((lightness - 50) / yellow))
    assert typology_angle(np.array([light] * 3 + [dark] * 2, np.uint8)) == pytest.approx(expected)
    assert typology_angle(colour(0, 0, 255)) is None
    assert typology_angle(np.empty((0, 3), np.uint8)) is None
    angles = (55.1, 55.0, 41.0, 28.0, 10.0, -30.0, None)
    names = ["very light", "light", "intermediate", "tan", "brown", "dark", None]
    assert [skin_band(angle) for angle in angles] == names


def test_a_group_has_its_share_and_the_range_that_chance_leaves(spark):
    samples = spark.createDataFrame(rows_with_hands(120), SCHEMA)
    answers = with_groups(samples, samples["split"] == "test", HandOptions()).selectExpr(
        "*", "if(signer = 'bob', 'Q', label) letter", "float(1) probability"
    )
    found = group_metrics(answers)
    by_signer = {figures["group"]: figures for figures in found["signer"]}
    assert (by_signer["bob"]["accuracy"], by_signer["ann"]["accuracy"], by_signer["ann"]["rows"]) == (0, 1, 40)
    assert (by_signer["ann"]["low"], by_signer["ann"]["high"]) == wilson(1, 40)
    assert [figures["group"] for figures in found["skin"]] == ["very light", "brown", "dark"]
    # Only those that are judged are looked at; the rest is in no band.
    assert sum(figures["rows"] for figures in found["skin"]) < sum(figures["rows"] for figures in found["size"])


def test_a_hand_of_just_a_bands_size_is_in_the_band_above(spark):
    # Points from 0 to the size on one axis, and half of that on the other; in 32nds, which floats hold exactly.
    sizes = [0.1875, 0.21875, 0.375, 0.40625, 0.59375, 0.625, 1.0]
    rows = []
    for n, size in enumerate(sizes):
        points = np.linspace([0, 0, 0], [size / 2, size, 0] if n % 2 else [size, size / 2, 0], 21)
        rows.append((f"film:{n}", ("plain", points.ravel().tolist(), "left"), None))
    schema = "id string, hand struct<found string, landmarks array<double>, side string>, signer string"
    with_sizes = with_groups(spark.createDataFrame(rows, schema), F.lit(True), None).orderBy("id").collect()
    bands = ["below 20%", "20% to 40%", "20% to 40%", "40% to 60%", "40% to 60%", "60% and more", "60% and more"]
    assert [row["groups"]["size"] for row in with_sizes] == bands
    edges = spark.createDataFrame(
        [(f"{n}", ("plain", [0.0] * 60 + [edge, 0.0, 0.0], "left"), None) for n, edge in enumerate(SIZE_BANDS)], schema
    )
    found = [row["groups"]["size"] for row in with_groups(edges, F.lit(True), None).orderBy("id").collect()]
    assert found == ["20% to 40%", "40% to 60%", "60% and more"]


def test_grey_pictures_say_nothing_of_skin_and_tables_without_hands_nothing_of_hands(spark, ingested):
    rows = [(*row[:1], (16, 16, 1, bytearray(256), "raw"), *row[2:]) for row in rows_with_hands(24)]
    samples = spark.createDataFrame(rows, SCHEMA)
    grey = with_groups(samples, samples["split"].isNotNull(), HandOptions()).selectExpr("*", "label letter")
    assert set(group_metrics(grey)) == {"signer", "hand", "side", "size"}
    drawn = with_groups(read_samples(spark, ingested), F.lit(True), None).selectExpr("*", "label letter")
    assert set(group_metrics(drawn)) == {"signer"}


@pytest.mark.parametrize("upright", [False, True])
def test_the_palm_of_a_crop_is_where_the_hand_was_in_the_picture(upright):
    # A palm of one colour, drawn where landmarks say, is found again in the crop.
    landmarks = np.random.default_rng(1).uniform(0.35, 0.7, (21, 3)).astype(np.float32)
    landmarks[[0, 1, 5, 9, 13, 17], :2] = [(0.5, 0.7), (0.4, 0.65), (0.38, 0.5), (0.45, 0.45), (0.55, 0.45), (0.6, 0.5)]
    picture = Image.new("RGB", (300, 200), (0, 0, 255))
    palm = [(float(x) * 300, float(y) * 300) for x, y in landmarks[[0, 1, 5, 9, 13, 17], :2]]
    ImageDraw.Draw(picture).polygon(palm, fill=SKIN["bob"])
    options = HandOptions(upright=upright)
    crop = np.asarray(hand_crop(picture, landmarks, options, 64).resize((64, 64)))
    found = palm_pixels(crop, landmarks, options)
    assert len(found) > 100
    assert (found == SKIN["bob"]).all(axis=1).mean() > 0.97


def test_many_signers_fit_on_the_page(tmp_path):
    many = [{"group": f"s{n}", "rows": 9, "accuracy": n / 40, "low": 0, "high": 1} for n in range(40)]
    plot_groups({"signer": many, "side": many[:2]}, 0.5, tmp_path / "groups.png")
    assert (tmp_path / "groups.png").read_bytes().startswith(b"\x89PNG")


def counts(*lines):
    table = pd.DataFrame(lines, columns=["label", "letter", "rows"])
    return table.assign(split="test", source="x", in_top=False)


def test_look_alikes_are_the_known_groups_and_the_pairs_that_were_confused_most():
    found = confusable_groups(
        counts(
            *(("M", "M", 50), ("M", "N", 3), ("N", "M", 2), ("N", "A", 9), ("N", UNSCORED, 30), ("U", "U", 5)),
            *(("A", "N", 1), ("A", "A", 7), ("E", "A", 4), ("D", "F", 1), ("F", "Z", 2)),
        )
    )
    assert [group.letters for group in found] == [("M", "N"), ("A", "N"), ("A", "E"), ("F", "Z")]
    assert (found[0].rows, found[0].mixed_up) == (94, 5)
    assert str(found[1]) == "A N: 10 of 49 read as another of them"
    assert confusable_groups(counts(("A", "A", 3))) == []


def test_the_sheet_shows_the_mixed_up_ones_first_and_some_of_every_letter(spark, tmp_path):
    samples = spark.createDataFrame(rows_with_hands(120), SCHEMA)
    scored = samples.selectExpr(
        "id", "label", "if(label = 'M' and source = 'room', 'N', label) letter", "float(0.5) probability"
    )
    table = scored.groupBy("label", "letter").count().toPandas().set_axis(["label", "letter", "rows"], axis=1)
    groups = confusable_groups(table)
    assert [group.letters for group in groups] == [("M", "N"), ("K", "P")]
    shown = choose_examples(groups, scored)
    answers = [[(row["label"], row["letter"]) for row in rows] for rows in shown]
    assert answers[0] == [("M", "N")] * 8 + [("M", "M"), ("N", "N")] * 4
    assert answers[1] == [("K", "K"), ("P", "P")] * 4
    pictures = pictures_of(samples, [row["id"] for rows in shown for row in rows])
    draw_confusable(groups, shown, pictures, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
