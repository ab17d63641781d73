"""Networks as ONNX -> their speed on this machine, through onnxruntime on the CPU."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.evaluation.comparison_json import Machine
from aslspark.features.landmarks import FEATURES
from aslspark.models.mllib import MllibClassifier
from aslspark.models.onnx_classifier import OnnxClassifier

ONE, MANY = 1, 64
ROUNDS, SECONDS_A_ROUND = 5, 0.2


@dataclass(frozen=True)
class Speed:
    """Medians over all runs."""

    ms_a_picture: float
    """In batches of one."""
    pictures_a_second: float
    """In batches of 64."""


def measure_speed(models: Mapping[str, OnnxClassifier | MllibClassifier], threads: int) -> dict[str, Speed]:
    """Time each network among some models on random pictures and landmarks, scaling included.

    The networks take turns for several rounds, so that other work on the machine slows all of them alike.

    Parameters
    ----------
    threads : int
        Of onnxruntime, within an operator.
    """
    import onnxruntime

    networks = {name: model for name, model in models.items() if isinstance(model, OnnxClassifier)}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    sessions = {
        name: onnxruntime.InferenceSession(network.onnx, options, providers=["CPUExecutionProvider"])
        for name, network in networks.items()
    }
    random = np.random.default_rng(0)
    seconds: dict[tuple[str, int], list[float]] = {(name, batch): [] for name in networks for batch in (ONE, MANY)}
    for _ in range(ROUNDS):
        for name, batch in seconds:
            inputs: dict[str, np.ndarray] = {}
            if PICTURE in networks[name].inputs:
                inputs[PICTURE] = random.integers(0, 256, (batch, *networks[name].shape), np.uint8)
            if LANDMARKS in networks[name].inputs:
                inputs[LANDMARKS] = random.standard_normal((batch, FEATURES), np.float32)
            seconds[(name, batch)] += _timed(sessions[name], inputs)
    return {
        name: Speed(
            ms_a_picture=1000 * statistics.median(seconds[(name, ONE)]),
            pictures_a_second=MANY / statistics.median(seconds[(name, MANY)]),
        )
        for name in networks
    }


def _timed(session: Any, inputs: dict[str, np.ndarray]) -> list[float]:
    session.run(["probability"], inputs)  # the first run after another network's is slow
    times: list[float] = []
    started = time.perf_counter()
    while not times or time.perf_counter() - started < SECONDS_A_ROUND:
        before = time.perf_counter()
        session.run(["probability"], inputs)
        times.append(time.perf_counter() - before)
    return times


def this_machine(threads: int) -> Machine:
    """Describe the machine that the speeds are measured on."""
    import onnxruntime

    names = []
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "onnxruntime": onnxruntime.__version__,
    }
