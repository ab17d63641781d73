"""The file that a fit goes on from."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_training import SimpleTraining

from aslspark.common.errors import AslsparkError
from aslspark.training.checkpoint import Progress, read_checkpoint, write_checkpoint


def keep(folder, epoch, best=None, fit="this"):
    progress = Progress(epochs=epoch, best_epoch=best or epoch, best_loss=0.5, history=[{"epoch": epoch, "loss": 1.0}])
    state = {"0/0/exp_avg": np.full((3, 2), epoch, np.float32)}
    write_checkpoint(folder, fit, progress, b"weights of %d" % epoch, state)


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    keep(tmp_path, 7)
    found = read_checkpoint(tmp_path, "this")
    assert found.progress == Progress(epochs=7, best_epoch=7, best_loss=0.5, history=[{"epoch": 7, "loss": 1.0}])
    assert found.weights == found.current == b"weights of 7"
    np.testing.assert_array_equal(found.state["0/0/exp_avg"], np.full((3, 2), 7, np.float32))


def test_the_last_two_and_the_best_are_kept(tmp_path):
    for epoch in range(1, 8):
        keep(tmp_path, epoch, best=min(epoch, 3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-0003.npz", "epoch-0006.npz", "epoch-0007.npz"]
    found = read_checkpoint(tmp_path, "this")
    assert (found.weights, found.current) == (b"weights of 3", b"weights of 7")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.999])
def test_one_that_was_cut_short_is_left_out_for_the_one_before(share, tmp_path):
    keep(tmp_path, 1)
    keep(tmp_path, 2)
    whole = (tmp_path / "epoch-0002.npz").read_bytes()
    (tmp_path / "epoch-0002.npz").write_bytes(whole[: int(len(whole) * share)])
    assert read_checkpoint(tmp_path, "this").progress.epochs == 1


def test_one_whose_bytes_were_changed_is_left_out_too(tmp_path):
    keep(tmp_path, 1)
    keep(tmp_path, 2)
    content = bytearray((tmp_path / "epoch-0002.npz").read_bytes())
    place = content.index(b"weights of 2")
    content[place] ^= 1
    (tmp_path / "epoch-0002.npz").write_bytes(content)
    assert read_checkpoint(tmp_path, "this").progress.epochs == 1


def test_one_with_pickled_objects_is_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    keep(tmp_path, 1)
    np.savez(tmp_path / "epoch-0002.npz", about=np.array([Trap()], dtype=object), weights=np.zeros(1))
    assert read_checkpoint(tmp_path, "this").progress.epochs == 1
    assert not (tmp_path / "sprung").exists()


def test_another_fits_checkpoint_is_refused(tmp_path):
    keep(tmp_path, 1, fit="that")
    with pytest.raises(AslsparkError, match="of another fit"):
        read_checkpoint(tmp_path, "this")


def test_a_process_killed_while_it_writes_leaves_one_that_can_be_read(tmp_path):
    # The moments are whatever they come to: after each one hundredth of a megabyte or so.
    program = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from aslspark.training.checkpoint import Progress, write_checkpoint\n"
        "state = {'0/0/exp_avg': np.zeros(500_000, np.float32)}\n"
        "for epoch in range(1, 10_000):\n"
        "    write_checkpoint(Path(sys.argv[1]), 'this', Progress(epochs=epoch, best_epoch=epoch), b'w', state)\n"
        "    print(epoch, flush=True)\n"
    )
    for turn in range(6):
        folder = tmp_path / str(turn)
        folder.mkdir()
        with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE) as process:
            for _ in range(2 + turn):
                told = int(process.stdout.readline())
            for _ in range(turn * 40_000):  # into the midst of the next one
                pass
            process.send_signal(signal.SIGKILL)
        assert read_checkpoint(folder, "this").progress.epochs >= told


def test_one_is_written_beside_its_place_so_that_who_reads_the_earlier_one_has_it_whole(tmp_path):
    keep(tmp_path, 2)
    path = tmp_path / "epoch-0002.npz"
    before, content = path.stat(), path.read_bytes()
    with path.open("rb") as reader:
        write_checkpoint(tmp_path, "this", Progress(epochs=2, best_epoch=2), b"of another try", {"a": np.zeros(9000)})
        assert path.stat().st_ino != before.st_ino
        assert reader.read() == content
    assert read_checkpoint(tmp_path, "this").weights == b"of another try"
    assert [found.name for found in tmp_path.iterdir()] == ["epoch-0002.npz"]


def test_what_cannot_be_written_leaves_the_earlier_one_of_the_same_epoch(tmp_path):
    keep(tmp_path, 2)
    # A limit on the size of files stops the write half-way, as a full disk does; it counts for a process and its end.
    program = (
        "import resource, signal, sys, numpy as np; from pathlib import Path\n"
        "from aslspark.common.errors import AslsparkError\n"
        "from aslspark.training.checkpoint import Progress, write_checkpoint\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    write_checkpoint(Path(sys.argv[1]), 'this', Progress(epochs=2), b'w', {'a': np.zeros(200_000)})\n"
        "except AslsparkError as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "checkpoint of epoch 2" in said.stdout
    assert "cannot be written: File too large" in said.stdout
    assert read_checkpoint(tmp_path, "this").weights == b"weights of 2"
    assert [found.name for found in tmp_path.iterdir()] == ["epoch-0002.npz"]


def test_a_full_disk_is_one_clear_line_and_leaves_the_earlier_ones(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("a disk of its own cannot be mounted here")
    try:
        keep(disk, 1)
        big = {"0/0/exp_avg": np.zeros(200_000, np.float32)}
        with pytest.raises(AslsparkError, match=r"epoch 2: .*MiB, cannot be written: there is no room on the disk"):
            write_checkpoint(disk, "this", Progress(epochs=2, best_epoch=2), b"w", big)
        assert read_checkpoint(disk, "this").progress.epochs == 1
        assert [path.name for path in Path(disk).iterdir()] == ["epoch-0001.npz"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float32", "float16"])
@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_a_step_after_a_checkpoint_is_the_step_without_one(framework, kind):
    def fresh():
        if framework == "keras":
            import tensorflow as tf

            tf.keras.utils.set_random_seed(0)
            model = tf.keras.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(3, activation="softmax")])
            model.build((None, 8, 8, 1))
            optimizer = tf.keras.optimizers.AdamW(0.01, weight_decay=0.1)
        else:
            import torch

            torch.manual_seed(0)
            model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
            optimizer = (torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1})
        half = kind if kind == "float16" else None
        return SimpleTraining(framework, model, (8, 8, 1), optimizer=optimizer, half=half)

    unbroken, before = fresh(), fresh()
    for one in (unbroken, before):
        for _ in range(3):
            one.trainable.train(one.batch())
    after = fresh()
    after.trainable.load_weights(before.trainable.weights())
    state = before.trainable.state()
    assert any(np.abs(array).sum() > 0 for array in state.values())
    after.trainable.load_state({name: array.copy() for name, array in state.items()})
    for one in (unbroken, after):
        one.trainable.train(one.batch())
    assert after.trainable.weights() == unbroken.trainable.weights()
    assert {name: array.tolist() for name, array in after.trainable.state().items()} == {
        name: array.tolist() for name, array in unbroken.trainable.state().items()
    }
