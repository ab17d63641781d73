"""Networks in ONNX -> sessions of onnxruntime, of which each process keeps the last few."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt


def open_session(onnx: bytes, threads: int) -> Any:
    """Open a network as an onnxruntime.InferenceSession, on a GPU where onnxruntime has one.

    Parameters
    ----------
    threads : int
        Of the CPU.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    usable = onnxruntime.get_available_providers()
    providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in usable]
    return onnxruntime.InferenceSession(onnx, options, providers=providers)


@lru_cache(maxsize=4)
def kept_session(onnx: bytes, threads: int) -> Any:
    """Return this process's session of a network; Spark runs many tasks in the same worker process.

    Four are kept: a classifier's, those of the two networks that find hands, and one more while a model is exchanged.
    """
    return open_session(onnx, threads)


def run_on_pictures(session: Any, pictures: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
    """Run a network that takes RGB of 0-1, and return its outputs in their order.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
    pictures : ndarray of uint8, shape (n, height, width, 3)
    """
    (name,) = (node.name for node in session.get_inputs())
    outputs: list[npt.NDArray[np.float32]] = session.run(None, {name: pictures.astype(np.float32) / 255})
    return outputs


def rows_of_a_run(session: Any) -> int:
    """Return how many pictures a network of convolutions should get at once.

    On a CPU, eight at once take as long each as one alone, and 60 MB more for each of the networks that find hands.
    """
    return 64 if "CUDAExecutionProvider" in session.get_providers() else 1
