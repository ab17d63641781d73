"""A bundle of landmarks -> a folder with the live page, whose networks run in the browser: no picture leaves it.

The page is that of the service, with `static_page/link.js` in place of `page/link.js`: the one module through which it
gets answers.
"""

from __future__ import annotations

from pathlib import Path

from aslspark.bundle.files import HANDS, ONNX, read_bundle, require_new, whole_folder
from aslspark.bundle.network import network_of, preprocessing_of
from aslspark.common.catalog import LANDMARKS
from aslspark.common.errors import AslsparkError
from aslspark.common.labels import STATIC_LETTERS
from aslspark.common.progress import doing
from aslspark.common.redacted_files import redacted_json
from aslspark.serving.chart import chart_of, drawn, lessons
from aslspark.serving.installable import SHELL, icons, shell_of
from aslspark.serving.onnxruntime_web import runtime_files

PAGES = (Path(__file__).parent / "page", Path(__file__).parent / "static_page")
"""The folders whose files make the page; of one name, those of the later."""


def export_page(path: str, out: str, assets: str | None = None) -> None:
    """Write the page of a bundle, whole or not at all.

    Parameters
    ----------
    path : str
        A bundle whose network takes landmarks alone, and which looks for hands; or 'letters'.
    out : str
        The folder to make, for any static server.
    assets : str, optional
        See `aslspark.serving.onnxruntime_web.runtime_files`.

    Raises
    ------
    AslsparkError
        Where the bundle is another one, the runtime cannot be had, or the folder exists.
    """
    folder = require_new(out)
    with doing("making the page"):
        files = _files(path, assets)
        with whole_folder(folder) as unfinished:
            for name, content in files.items():
                place = unfinished / name
                place.parent.mkdir(exist_ok=True)
                place.write_bytes(content)


def _files(path: str, assets: str | None) -> dict[str, bytes]:
    """Return the files of a bundle's page by their names."""
    bundle = read_bundle(path, "export-web ", keep=[ONNX, HANDS])
    manifest = bundle.manifest
    takes = manifest.get("inputs", []) if manifest["kind"] == "network" else []
    if takes != [LANDMARKS]:
        raise AslsparkError(
            f"export-web {path}: the page reads the landmarks of hands, and this model takes "
            f"{' and '.join(takes) or 'pictures'}; give a bundle of network.name=landmark_net, or letters"
        )
    network, (_, hands) = network_of(bundle, path), preprocessing_of(bundle, path)
    if hands is None:
        raise AslsparkError(
            f"export-web {path}: its model looks for no hands in pictures; train it with hands.on=true, or give letters"
        )
    facts = {
        "labels": list(network.labels),
        "model": Path(path).name,
        "chart": chart_of(network.labels),
        "lessons": lessons(),
        "record": False,
        "reader": {
            "upright": network.upright,
            "confidence": hands.options.confidence,
            "looks": hands.options.looks,
            "temperature": manifest.get("temperature", 1.0),
            "threshold": manifest.get("threshold", 0.0),
        },
    }
    files = {file.name: file.read_bytes() for page in PAGES for file in page.iterdir() if file.is_file()}
    files |= {f"onnxruntime/{name}": content for name, content in runtime_files(assets).items()}
    files |= {f"{HANDS}{name}": content for name, content in hands.networks.files().items()}
    files |= {f"chart/{letter}.png": drawn(letter) for letter in STATIC_LETTERS}
    files |= icons()
    files[ONNX] = network.onnx
    files["page.json"] = redacted_json(facts, indent=1).encode()
    files[SHELL] = shell_of(files)
    return files
