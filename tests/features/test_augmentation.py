"""Random changes of training pictures, in both frameworks: what each does, and that it does nothing else."""

import dataclasses

import numpy as np
import pytest

from aslspark.common.settings import AugmentConfig, augment_settings
from aslspark.evaluation.plots import plot_augmented
from aslspark.features.augment_sheet import augmented_versions
from aslspark.features.scaling import scale

CHANGES = [
    setting.name
    for setting in dataclasses.fields(AugmentConfig)
    if setting.name.endswith("_probability") and not setting.name.startswith("landmark")
]
"""Of pictures; those of landmarks are tested with the feed."""
OF_COLOUR = ["hue_probability", "saturation_probability", "channel_shuffle_probability"]
NOTHING = dict.fromkeys(CHANGES, 0.0)

pytestmark = pytest.mark.parametrize("framework", ["keras", "torch"])


def changed(framework, pictures, settings, seed=1):
    """Change an array (n, height, width, channels) with these settings and nothing else."""
    settings = augment_settings({**NOTHING, **settings})
    if framework == "keras":
        import tensorflow as tf

        from aslspark.features.augment_keras import augment

        tf.random.set_seed(seed)
        return augment(tf.constant(pictures), settings).numpy()
    import torch

    from aslspark.features.augment_torch import augment

    torch.manual_seed(seed)
    return augment(torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2), settings).permute(0, 2, 3, 1).numpy()


@pytest.fixture
def rooms():
    """32 colourful pictures, higher than wide."""
    coarse = np.random.default_rng(1).uniform(0.25, 0.75, (32, 8, 6, 3)).astype(np.float32)
    return coarse.repeat(5, axis=1).repeat(5, axis=2)


@pytest.fixture
def studio():
    """32 times a bright hand with a dark crease, before black."""
    picture = np.zeros((40, 40, 3), np.float32)
    picture[10:40, 10:30] = 0.7
    picture[25, 12:28] = 0.05
    return np.stack([picture] * 32)


def which_changed(before, after):
    return np.abs(after - before).max(axis=(1, 2, 3)) > 2e-5


def test_by_default_each_picture_changes_by_itself_and_keeps_the_hand(framework):
    picture = np.zeros((28, 28, 1), np.float32)
    picture[8:20, 8:20] = 1.0
    batch = np.stack([picture] * 32)
    after = changed(framework, batch, dataclasses.asdict(AugmentConfig()))
    assert after.shape == batch.shape
    assert len({one.tobytes() for one in after}) == 32
    middle = after[:, 12:16, 12:16].mean(axis=(1, 2, 3))
    corner = after[:, :2, :2].mean(axis=(1, 2, 3))
    assert np.all(middle - corner > 0.5)


def test_with_every_probability_0_nothing_changes(framework, rooms):
    assert np.array_equal(changed(framework, rooms, {}), rooms)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_befalls_all_pictures_some_or_none_and_keeps_shape_type_and_range(framework, change, rooms, studio):
    pictures = studio if change == "background_probability" else rooms
    everyone = changed(framework, pictures, {change: 1.0})
    assert everyone.shape == pictures.shape
    assert everyone.dtype == np.float32
    assert everyone.min() >= -0.2
    assert everyone.max() <= 1.2
    assert which_changed(pictures, everyone).all()
    some = which_changed(pictures, changed(framework, pictures, {change: 0.5}))
    assert 4 < some.sum() < 28


def test_the_same_seed_gives_the_same_pictures_and_another_one_others(framework, studio):
    everything = dict.fromkeys(CHANGES, 0.5)
    first, again, other = (changed(framework, studio, everything, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_flip_mirrors_left_to_right(framework, rooms):
    assert np.allclose(changed(framework, rooms, {"flip_probability": 1}), rooms[:, :, ::-1], atol=1e-5)


def test_a_shift_moves_by_whole_pictures_and_repeats_the_edge(framework):
    pictures = np.zeros((32, 20, 20, 1), np.float32)
    pictures[:, 10, 10] = 1.0
    after = changed(framework, pictures, {"shift_probability": 1, "shift": 0.2})
    assert np.allclose(after.sum(axis=(1, 2, 3)), 1, atol=1e-3)
    rows, columns = ((after.sum(axis=(axis, 3)) * np.arange(20)).sum(axis=1) - 10 for axis in (2, 1))
    assert np.abs([rows, columns]).max() <= 4
    assert rows.std() > 1
    assert columns.std() > 1
    assert not np.allclose(rows, columns, atol=0.5)


def test_brightness_adds_one_number_and_contrast_multiplies_about_the_middle(framework, rooms):
    added = changed(framework, rooms, {"brightness_probability": 1, "brightness": 0.3}) - rooms
    assert np.allclose(added, added[:, :1, :1, :1], atol=1e-5)
    assert 0.2 < np.abs(added).max() <= 0.3
    factor = (changed(framework, rooms, {"contrast_probability": 1, "contrast": 0.4}) - 0.5).std(axis=(1, 2, 3))
    factor /= rooms.std(axis=(1, 2, 3))
    assert 0.6 <= factor.min() < 0.8
    assert 1.2 < factor.max() <= 1.4
    assert np.allclose(changed(framework, np.full_like(rooms, 0.5), {"contrast_probability": 1}), 0.5)


def test_hue_and_saturation_keep_the_mean_of_the_channels(framework, rooms):
    mean = rooms.mean(axis=3, keepdims=True)
    strength = np.linalg.norm(rooms - mean, axis=3)
    turned = changed(framework, rooms, {"hue_probability": 1, "hue_degrees": 90})
    assert np.allclose(turned.mean(axis=3, keepdims=True), mean, atol=1e-5)
    assert np.allclose(np.linalg.norm(turned - mean, axis=3), strength, atol=1e-5)
    weaker = changed(framework, rooms, {"saturation_probability": 1, "saturation": 0.5}) - mean
    factor = (weaker * (rooms - mean)).sum(axis=(1, 2, 3)) / (strength**2).sum(axis=(1, 2))
    assert np.allclose(weaker, factor.reshape(-1, 1, 1, 1) * (rooms - mean), atol=1e-5)
    assert 0.5 <= factor.min() < 0.8
    assert 1.2 < factor.max() <= 1.5


def test_a_channel_shuffle_orders_the_channels_anew(framework, rooms):
    after = changed(framework, rooms, {"channel_shuffle_probability": 1})
    orders = set()
    for old, new in zip(rooms, after, strict=True):
        order = tuple(int(np.abs(old - new[:, :, [k]]).max(axis=(0, 1)).argmin()) for k in range(3))
        assert np.allclose(old[:, :, order], new, atol=1e-5)
        orders.add(order)
    assert len(orders) == 5
    assert (0, 1, 2) not in orders


def test_changes_of_colour_leave_grey_alone(framework, rooms):
    grey = np.ascontiguousarray(rooms[..., :1])
    assert np.array_equal(changed(framework, grey, dict.fromkeys(OF_COLOUR, 1.0)), grey)
    grey_in_rgb = grey.repeat(3, axis=3)
    assert np.allclose(changed(framework, grey_in_rgb, dict.fromkeys(OF_COLOUR, 1.0)), grey_in_rgb, atol=1e-5)


def test_a_larger_blur_leaves_less_of_what_is_fine(framework):
    noise = np.random.default_rng(2).random((32, 40, 30, 3), np.float32)

    def fine(pictures):
        return np.abs(np.diff(pictures, axis=1)).mean(axis=(1, 2, 3))

    left = [
        fine(changed(framework, noise, {"blur_probability": 1, "blur_least": side, "blur_most": side})) / fine(noise)
        for side in (3, 5, 7)
    ]
    assert left[0].max() < 0.5
    assert left[1].max() < left[0].min()
    assert left[2].max() < left[1].min()
    mixed = fine(changed(framework, noise, {"blur_probability": 1})) / fine(noise)
    assert min(mixed) < left[2].max()
    assert max(mixed) > left[0].min()


def test_holes_have_the_number_and_the_size_that_are_set(framework):
    ones = np.ones((32, 32, 48, 1), np.float32)
    one_hole = {"coarse_dropout_probability": 1, "holes_least": 1, "holes_most": 1}
    quarter = changed(framework, ones, {**one_hole, "hole_size_least": 0.25, "hole_size_most": 0.25})
    assert set(np.unique(quarter)) == {0, 1}
    rows, columns = ((quarter == 0).any(axis=axis).sum(axis=(1, 2)) for axis in (2, 1))
    assert set(rows) <= {7, 8, 9}
    assert set(columns) <= {11, 12, 13}
    assert np.array_equal((quarter == 0).sum(axis=(1, 2, 3)), rows * columns)
    places = {tuple(np.argwhere(one == 0)[0]) for one in quarter}
    assert len(places) > 20
    many = changed(framework, ones, {**one_hole, "holes_least": 10, "holes_most": 10}) == 0
    few = changed(framework, ones, one_hole) == 0
    assert many.mean() > 4 * few.mean()
    assert many.mean(axis=(1, 2, 3)).max() < 10 * 0.134**2 * 1.1


def test_a_background_is_put_behind_studio_hands_and_nowhere_else(framework, rooms, studio):
    after = changed(framework, studio, {"background_probability": 1})
    ground = studio[0].max(axis=2) == 0
    assert np.allclose(after[:, ~ground], studio[:, ~ground])  # the hand, its crease included
    assert (np.abs(after[:, ground]) > 0.02).mean() > 0.9
    assert len({one.tobytes() for one in after}) == 32
    assert np.array_equal(changed(framework, rooms, {"background_probability": 1}), rooms)
    in_part = studio.copy()
    in_part[:, :, :8] = in_part[:, :, 32:] = 0.6  # a dark spot in a bright room
    assert np.array_equal(changed(framework, in_part, {"background_probability": 1}), in_part)


def test_fixed_amounts_do_what_they_say(framework):
    bright = np.zeros((1, 21, 21, 3), np.float32)
    bright[0, 10, 15] = (1, 0, 0)  # a red spot, right of the middle
    if framework == "keras":
        import tensorflow as tf

        from aslspark.features import augment_keras as twin

        one, make, back = tf.constant, lambda array: tf.constant(array), lambda tensor: tensor.numpy()
    else:
        import torch

        from aslspark.features import augment_torch as twin

        one = torch.tensor

        def make(array):
            return torch.from_numpy(array).permute(0, 3, 1, 2)

        def back(tensor):
            return tensor.permute(0, 2, 3, 1).numpy()

    still, none, quarter = one([1.0]), one([0.0]), one([np.float32(np.pi / 2)])
    turned = back(twin.move(make(bright), quarter, still, none, one([[0.0], [0.0]]), one([False])))
    assert np.argwhere(turned[0, :, :, 0] > 0.99).tolist() == [[5, 10]]
    shifted = back(twin.move(make(bright), none, still, none, one([[2 / 21], [-1 / 21]]), one([False])))
    assert np.argwhere(shifted[0, :, :, 0] > 0.99).tolist() == [[11, 13]]
    third = twin.colour_matrices(one([np.float32(2 * np.pi / 3)]), still, one([0]))
    assert np.allclose(back(twin.recolour(make(bright), still, none, third))[0, 10, 15], (0, 1, 0), atol=1e-6)


def test_the_sheet_shows_each_picture_as_it_is_and_then_changed(framework, tmp_path):
    pictures = np.random.default_rng(3).integers(0, 256, (2, 30, 40, 3), dtype=np.uint8)
    sheet = augmented_versions(pictures, AugmentConfig(), framework=framework, stretch=False, seed=1, versions=3)
    assert sheet.shape == (2, 4, 30, 40, 3)
    assert np.array_equal(sheet[:, 0], scale(pictures, stretch=False))
    assert len({one.tobytes() for one in sheet.reshape(8, -1)}) == 8
    plot_augmented(sheet, ["A", "B"], tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 10_000
