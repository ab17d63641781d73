"""Looks for input that breaks what must always hold (`contracts.py`), guided by coverage; `make fuzz SECONDS=60`.

With the name of a target it runs that target, as libFuzzer does: more words are libFuzzer's options, and files are run
once. Without one it runs each for `--seconds`, from the pieces of `bad_input.py`. What breaks is left as
`crash-...` in the folder `--out`, and its bytes belong into `test_found_by_fuzzing.py` when it is mended.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import warnings
from contextlib import redirect_stderr
from io import StringIO
from itertools import islice
from pathlib import Path

import atheris

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]
OPTIONS = ("-timeout=20", "-rss_limit_mb=3000", "-max_len=65536", "-print_final_stats=1")

with (
    redirect_stderr(StringIO()),
    atheris.instrument_imports(include=["aslspark", "PIL", "zipfile", "csv", "python_multipart", "starlette"]),
):
    import bad_input
    import contracts
    import python_multipart  # noqa: F401
    import starlette.formparsers  # noqa: F401
    from PIL import BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401


def lines(data: bytes) -> None:
    """Read the bytes as lines, each among good ones, and once as a field of a good line."""
    good = b",".join([b"3"] + [b"7"] * 784)
    given = data.replace(b"\r", b"\n").split(b"\n")[:4]
    contracts.rows([*given, good])
    contracts.header(data)
    contracts.header(b",".join([given[0], *[b"pixel%d" % number for number in range(1, 785)]]))
    contracts.table_text(data)
    contracts.rows([good.replace(b"7", given[0], 1), b",".join([given[0], *[b"7"] * 784])])


def text(data: bytes) -> None:
    """Read the bytes as text to mask."""
    contracts.masking(data.decode("utf-8", "replace"))


TARGETS = {
    "pictures": (contracts.picture, bad_input.bad_pictures),
    "stored": (contracts.stored_picture, bad_input.bad_pictures),
    "rows": (lines, bad_input.bad_lines),
    "manifests": (contracts.manifest, bad_input.bad_manifests),
    "zips": (contracts.archive, bad_input.bad_zips),
    "masking": (text, bad_input.bad_manifests),
    "bodies": (contracts.body, bad_input.bad_bodies),
    "bundles": (contracts.bundle, bad_input.bad_bundles),
}


def main() -> None:
    """Run one target in this process, or each in one of its own."""
    if len(sys.argv) > 1 and sys.argv[1] in TARGETS:
        name = sys.argv.pop(1)
        warnings.simplefilter("ignore")

        def run(data: bytes) -> None:
            TARGETS[name][0](data)

        atheris.Setup([*sys.argv[:1], *OPTIONS, *sys.argv[1:]], run)
        atheris.Fuzz()
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default %(default)s)")
    parser.add_argument("--out", default="runs/fuzz", help="folder for what breaks (default %(default)s)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # zipfile's, at names that are there twice
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    broken = []
    for name, (_, pieces) in TARGETS.items():
        with tempfile.TemporaryDirectory(prefix="aslspark-fuzz-") as corpus:
            for number, (_, data) in enumerate(islice(pieces(300, 0), 300)):
                if len(data) <= 65536:
                    (Path(corpus) / str(number)).write_bytes(data)
            command = [sys.executable, __file__, name, f"-max_total_time={options.seconds}"]
            command += [f"-artifact_prefix={out.resolve()}/{name}-", corpus]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
        said = ended.stderr.splitlines()
        ran = next((line.split(":")[-1].strip() for line in said if "number_of_executed_units" in line), "?")
        seen = next((line.split("cov: ")[1].split()[0] for line in reversed(said) if "cov: " in line), "?")
        held = "broken" if ended.returncode else "all held"
        print(f"{name}: {ran} inputs, {seen} places in the code seen, {held}", flush=True)
        if ended.returncode:
            broken.append(name)
            print(ended.stdout)
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
