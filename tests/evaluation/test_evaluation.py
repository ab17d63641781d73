import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
)

from aslspark.evaluation.metrics import UNSCORED, classification_metrics
from aslspark.evaluation.plots import plot_confusion, plot_curves, plot_mistakes

LABELS = ["A", "B", "C"]


@pytest.fixture(scope="module")
def answers():
    """One row a picture: a label, an answer, whether the label was among the best three."""
    random = np.random.default_rng(2)
    label = random.choice(LABELS, 500, p=[0.6, 0.3, 0.1])
    letter = np.where(random.random(500) < 0.7, label, random.choice([*LABELS, UNSCORED], 500))
    in_top = (letter == label) | (random.random(500) < 0.3)
    return pd.DataFrame(
        {"split": "test", "source": random.choice(["x", "y"], 500), "label": label, "letter": letter, "in_top": in_top}
    )


@pytest.fixture(scope="module")
def found(answers):
    columns = ["split", "source", "label", "letter", "in_top"]
    return classification_metrics(answers.groupby(columns).size().rename("rows").reset_index(), LABELS)


def test_counted_figures_are_those_of_the_single_answers(answers, found):
    truth, said = answers["label"], answers["letter"]
    assert found["rows"] == 500
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, said))
    assert found["top3_accuracy"] == pytest.approx(answers["in_top"].mean())
    for average in ("macro", "weighted"):
        for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
            expected = score(truth, said, labels=LABELS, average=average, zero_division=0)
            assert found[average][name] == pytest.approx(expected), (average, name)
    # Precision and recall are not one another: the system this grew from printed one under the other's name.
    assert found["per_class"]["A"]["precision"] != pytest.approx(found["per_class"]["A"]["recall"])


@pytest.fixture(scope="module")
def uneven():
    """One label is never shown, one is never answered, and precision is far from recall."""
    pairs = [("A", "A", 30), ("A", "B", 50), ("B", "B", 12), ("B", "A", 1), ("D", "B", 4), ("D", UNSCORED, 3)]
    counts = pd.DataFrame(pairs, columns=["label", "letter", "rows"])
    return counts.assign(split="test", source="x", in_top=counts["label"] == counts["letter"])


def test_each_letter_has_scikit_learns_precision_recall_f1_and_rows(uneven):
    found = classification_metrics(uneven, ["A", "B", "C", "D"])["per_class"]
    single = uneven.loc[uneven.index.repeat(uneven["rows"])]
    assert list(found) == ["A", "B", "D"]  # nobody showed a C
    scores = precision_recall_fscore_support(single["label"], single["letter"], labels=[*found], zero_division=0)
    for name, expected in zip(("precision", "recall", "f1", "rows"), scores, strict=True):
        assert [part[name] for part in found.values()] == pytest.approx(expected.tolist()), name
    assert found["A"] == pytest.approx({"precision": 30 / 31, "recall": 30 / 80, "f1": 60 / 111, "rows": 80})


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_averages_are_scikit_learns_over_the_letters_that_were_shown(uneven, average):
    found = classification_metrics(uneven, ["A", "B", "C", "D"])[average]
    single = uneven.loc[uneven.index.repeat(uneven["rows"])]
    given = {"labels": ["A", "B", "D"], "average": average, "zero_division": 0}
    expected = precision_recall_fscore_support(single["label"], single["letter"], **given)[:3]
    assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx(list(expected))
    # Over the letters that the model knows they would be others.
    if average == "macro":
        assert found["recall"] == pytest.approx((30 / 80 + 12 / 13 + 0) / 3)


def test_the_confusion_counts_every_answer_and_the_missing_ones(answers, found):
    order = [*LABELS, UNSCORED]
    expected = confusion_matrix(answers["label"], answers["letter"], labels=order)[:3]
    assert found["confusion"]["counts"] == expected.tolist()
    assert found["unscored"] == (answers["letter"] == UNSCORED).sum() > 0


def test_accuracy_is_told_by_source(answers, found):
    for source, part in answers.groupby("source"):
        assert found["by_source"][source]["rows"] == len(part)
        assert found["by_source"][source]["accuracy"] == pytest.approx((part["label"] == part["letter"]).mean())


def test_a_label_that_the_model_does_not_know_counts_as_wrong():
    counts = pd.DataFrame(
        {
            "split": "test",
            "source": "x",
            "label": ["A", "Z"],
            "letter": ["A", "A"],
            "in_top": [True, False],
            "rows": [3, 1],
        }
    )
    found = classification_metrics(counts, LABELS)
    assert found["accuracy"] == 0.75
    assert found["per_class"]["Z"]["recall"] == 0
    assert found["confusion"]["labels"] == [*LABELS, "Z"]


def test_plots_are_drawn_with_many_few_and_no_mistakes(found, tmp_path):
    plot_confusion(found["confusion"], "title", tmp_path / "confusion.png")
    picture = np.zeros((28, 28, 1), np.uint8)
    for n in (0, 1, 11, 40):
        plot_mistakes([(picture, "A", "B", 0.9)] * n, n, tmp_path / f"mistakes{n}.png")
    plot_mistakes([(np.zeros((8, 8, 3), np.uint8), "A", UNSCORED, 0.0)], 99, tmp_path / "colour.png")
    history = [{"epoch": n, "loss": 1 / n, "accuracy": 0.5} for n in (1, 2)]
    plot_curves(history, 2, tmp_path / "curves.png")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 7
