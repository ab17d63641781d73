"""What the estimators say of a DataFrame's columns, before any process is started."""

import pytest
from pyspark.sql import functions as F

from aslspark.common.errors import AslsparkError
from aslspark.data.samples import TRAIN, VALIDATION, read_samples

LETTERS = list("ABCDE")


def estimator(framework, folder, **more):
    """An estimator of five letters; `more` are other params."""
    from horovod.spark.common.store import LocalStore

    params = {
        "store": LocalStore(str(folder / "store")),
        "num_proc": 2,
        "labels": LETTERS,
        "feature_cols": ["picture"],
        "label_cols": ["label"],
        "validation": "held_out",
        "batch_size": 32,
        "epochs": 1,
        "augment": False,
        **more,
    }
    if framework == "keras":
        import tensorflow as tf

        from aslspark.models.keras_network import build
        from aslspark.training.keras_estimator import SignKerasEstimator

        return SignKerasEstimator(
            **{
                "model": build("cnn", (28, 28, 1), 5, 0.3),
                "optimizer": tf.keras.optimizers.Adam(0.001),
                "loss": "categorical_crossentropy",
                **params,
            }
        )
    import torch

    from aslspark.models.torch_network import build
    from aslspark.training.torch_estimator import SignTorchEstimator

    model = build("cnn", (28, 28, 1), 5, 0.3)
    return SignTorchEstimator(
        **{
            "model": model,
            "input_shapes": [[-1, 1, 28, 28]],
            "optimizer": torch.optim.Adam(model.parameters(), lr=0.001),
            "loss": torch.nn.CrossEntropyLoss(),
            **params,
        }
    )


@pytest.fixture(scope="module")
def samples(spark, few_letters):
    table = read_samples(spark, few_letters, [TRAIN, VALIDATION])
    return table.withColumn("held_out", F.col("split") == VALIDATION)


@pytest.mark.promise(
    "readers",
    "An estimator takes columns of any name, and labels that are numbers by their names in `labels`.",
    kind="a column's name taken for an expression",
)
@pytest.mark.parametrize("framework", ["torch", pytest.param("keras", marks=pytest.mark.long)])
def test_columns_with_dots_and_labels_that_are_numbers_are_trained_on(framework, samples, tmp_path):
    number = F.ascii("label") - ord("A")
    table = samples.select(
        F.col("picture").alias("the.picture"), number.alias("the.label"), F.col("held_out").alias("held.out")
    )
    names = {"feature_cols": ["the.picture"], "label_cols": ["the.label"], "validation": "held.out"}
    model = estimator(framework, tmp_path, labels=["0", "1", "2", "3", "4"], **names).fit(table)
    assert model.getHistory()[0]["rows"] == table.where("not `held.out`").count()
    scored = model.setInputCol("the.picture").transform(table.limit(5)).collect()
    assert {row["letter"] for row in scored} <= {"0", "1", "2", "3", "4"}


IS_A = "label = 'A'"
REFUSED = {
    "null labels": (
        lambda t: t.withColumn("label", F.expr(f"if({IS_A}, null, label)")),
        r"label_cols=label: \d+ rows .*null",
    ),
    "null pictures": (
        lambda t: t.withColumn("picture", F.expr(f"if({IS_A}, null, picture)")),
        r"feature_cols=picture: \d+ rows have no picture \(null\)",
    ),
    "numbers for letters": (
        lambda t: t.withColumn("label", F.ascii("label") - ord("A")),
        r"label_cols=label: 0, 1, 2, 3, 4 are not among labels=A, B, C, D, E",
    ),
    "another letter": (
        lambda t: t.withColumn("label", F.expr(f"if({IS_A}, 'Z', label)")),
        r"label_cols=label: Z is not among labels=",
    ),
    "labels that are fractions": (lambda t: t.withColumn("label", F.lit(0.5)), r"label_cols=label: .* is no label"),
    "no such label": (lambda t: t.drop("label"), r"label_cols=label: there is no such column; there are "),
    "no such picture": (lambda t: t.drop("picture"), r"feature_cols=picture: there is no such column"),
    "no such validation": (lambda t: t.drop("held_out"), r"validation=held_out: there is no such column"),
    "words for validation": (
        lambda t: t.withColumn("held_out", F.lit("perhaps")),
        r"validation=held_out: string; give a boolean",
    ),
    "text for pictures": (lambda t: t.withColumn("picture", F.lit("x")), r"feature_cols=picture: string is no picture"),
    "pictures of another size": (
        lambda t: t.withColumn("picture", F.when(F.expr(IS_A), F.lit(bytes(7))).otherwise(F.lit(bytes(784)))),
        r"feature_cols=picture: \d+ pictures have another size than 28x28x1",
    ),
}


@pytest.mark.promise(
    "input",
    "A column that an estimator cannot train on is one line that names the parameter and the column, before any "
    "process is started.",
    kind="input that is looked at in a worker first",
)
@pytest.mark.parametrize("kind", REFUSED)
def test_a_column_that_cannot_be_trained_on_is_named_on_the_driver(kind, samples, tmp_path):
    change, words = REFUSED[kind]
    with pytest.raises(AslsparkError, match=words) as refused:
        estimator("torch", tmp_path).fit(change(samples))
    assert "\n" not in str(refused.value)
    assert list((tmp_path / "store").glob("fit-*")) == []


def test_the_keras_estimator_names_the_column_too(samples, tmp_path):
    change, words = REFUSED["null labels"]
    with pytest.raises(AslsparkError, match=words):
        estimator("keras", tmp_path).fit(change(samples))


def keras_network(outputs, activation="softmax"):
    import tensorflow as tf

    layers = tf.keras.layers
    return tf.keras.Sequential(
        [tf.keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(outputs, activation=activation)]
    )


UNLIKE = {
    "keras, outputs": (
        "keras",
        lambda: {"model": keras_network(10)},
        r"model: it has 10 outputs, and labels names 5 letters; give it one output a label",
    ),
    "keras, logits": (
        "keras",
        lambda: {"model": keras_network(5, None)},
        r'add up to 0, .* end it with activation="softmax"',
    ),
    "keras, loss": (
        "keras",
        lambda: {"loss": "sparse_categorical_crossentropy"},
        r"loss=sparse_categorical_crossentropy: it does not take one-hot labels \(.*\); give 'categorical_",
    ),
    "torch, outputs": (
        "torch",
        lambda: {"labels": LETTERS[:3]},
        r"model: it has 5 outputs, and labels names 3 letters",
    ),
    "torch, shapes": (
        "torch",
        lambda: {"input_shapes": [[-1, 28, 28, 1]]},
        r"input_shapes=\[\[-1, 28, 28, 1\]\]: the model does not take these \(.*\); .* channels first",
    ),
    "torch, loss": ("torch", lambda: {"loss": bce()}, r"loss=BCEWithLogitsLoss\(\): it does not take logits and class"),
}


def bce():
    import torch

    return torch.nn.BCEWithLogitsLoss()


@pytest.mark.parametrize(("framework", "params", "message"), UNLIKE.values(), ids=UNLIKE)
def test_a_network_that_cannot_learn_these_labels_is_refused_before_any_process_is_started(
    framework, params, message, samples, tmp_path
):
    with pytest.raises(AslsparkError, match=message):
        estimator(framework, tmp_path, **params()).fit(samples)
    assert not (tmp_path / "store").exists()
