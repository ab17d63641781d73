"""The page of each job, run on drawn hands, as one looks at it: `python docs/reports/make.py [RUNS]`, in `make shell`.

In: nothing; runs that RUNS holds already are not made again. Out: `docs/reports/*.jpg`, each a job's `report.html` on
a wide and a narrow screen, light and dark. It takes Chromium and some twenty minutes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
CHROMIUM = "/usr/bin/chromium"
SCREENS = (("light", 1280), ("dark", 1280), ("light", 380), ("dark", 380))
MOST_HEIGHT = 2200
"""Pixels of a page that are shown; what follows is more of the same."""
SCALE, GAP = 0.5, 16

DRAW = """
from pyspark.sql import SparkSession
from aslspark.data.synthetic.files import draw_pictures
import sys
spark = SparkSession.builder.master("local[2]").getOrCreate()
draw_pictures(spark, sys.argv[1], count=1200, seed=7, size=32, signers=6)
"""
SPACE = str(REPOSITORY / "conf/spaces/network.yaml")
KINDS = ["forest", "logistic", "small_cnn"]
TORCH = ["--framework", "torch", "--num-proc", "2"]
JOBS = {
    "ingest": ["--source", "pictures", "--split", "signer", "--set", r"pictures.signer_pattern=(signer\d+)_"],
    "train_cnn": ["--data", "ingest", *TORCH, "--epochs", "20"],
    "train_baseline": ["--data", "ingest", "--model", "forest", "--trees", "30"],
    "evaluate": ["--model", "train_cnn", "--data", "ingest"],
    "compare": ["--model", "network=train_cnn", "forest=train_baseline", "--data", "drawn=ingest"],
    "monitor": ["--model", "train_cnn", "--data", "dark"],
    "cross_validate": ["--data", "ingest", "--by", "signer", "--folds", "3", *TORCH, "--epochs", "8"],
    "automl": ["--data", "ingest", "--models", *KINDS, "--minutes", "0", "--trials", "2", *TORCH, "--epochs", "8"],
    "tune": ["--data", "ingest", "--space", SPACE, *TORCH, "--epochs", "3", "--trials", "8"],
}
"""By job: its options; a run is a folder where they are run."""


def main(runs: Path) -> None:
    """Run what is not there yet, and look at each page."""
    runs.mkdir(parents=True, exist_ok=True)
    pictures = runs / "pictures"
    if not pictures.exists():
        subprocess.run([sys.executable, "-c", DRAW, str(pictures)], check=True)
        darker(pictures, runs / "dark")
        whole = next((pictures / "A").glob("*.png")).read_bytes()
        for name, content in (("A/signer0_cut.png", whole[:500]), ("B/signer1_none.png", b"no picture")):
            (pictures / name).write_bytes(content)  # for the quarantine
    for job, options in JOBS.items():
        if not (runs / job).exists():
            command = [sys.executable, str(REPOSITORY / "jobs" / f"{job}.py"), *options, "--out", job]
            done = subprocess.run(command, cwd=runs, check=False)
            if done.returncode not in (0, 3):  # 3: drift, which is what monitor is shown
                raise SystemExit(f"{job} ended with {done.returncode}")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for page in sorted(runs.glob("*/report.html")):
            look_at(chromium, page).save(HERE / f"{page.parent.name}.jpg", quality=72, optimize=True)
            print(f"docs/reports/{page.parent.name}.jpg")
        chromium.close()


def darker(pictures: Path, out: Path) -> None:
    """Write pictures as in a darker room."""
    for path in sorted(pictures.glob("*/signer*.png")):
        (out / path.parent.name).mkdir(parents=True, exist_ok=True)
        Image.open(path).point(lambda value: value * 0.45).save(out / path.parent.name / path.name)


def look_at(chromium: Browser, report: Path) -> Image.Image:
    """Put a page's screens side by side."""
    shots = []
    for scheme, width in SCREENS:
        page = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
        page.goto(report.as_uri())
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            page.screenshot(path=file.name, full_page=True)
            shot = Image.open(file.name).convert("RGB")
        shot = shot.crop((0, 0, width, min(shot.height, MOST_HEIGHT)))
        shots.append(shot.resize((round(shot.width * SCALE), round(shot.height * SCALE)), Image.Resampling.LANCZOS))
    size = (sum(shot.width for shot in shots) + GAP * (len(shots) + 1), max(shot.height for shot in shots) + 2 * GAP)
    sheet, left = Image.new("RGB", size, (128, 128, 128)), GAP
    for shot in shots:
        sheet.paste(shot, (left, GAP))
        left += shot.width + GAP
    return sheet


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
