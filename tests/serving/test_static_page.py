"""The page that `aslspark export-web` writes: it reads as the Python reader does, and asks no host."""

import logging
import os
import re
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from browser import browser, film, opened_page, require_browser, until
from conftest import REPOSITORY
from PIL import Image
from serving_bundles import network, write_bundle

from aslspark.common.errors import AslsparkError
from aslspark.data.synthetic.picture import draw_hand
from aslspark.features.landmarks import FEATURES, HAND_NUMBERS, WORLD_POINTS, landmark_features
from aslspark.images.hands.search_squares import search_squares
from aslspark.images.hands.square import Picture, Square
from aslspark.scoring.reader import Reader
from aslspark.serving.export_web import export_page
from aslspark.serving.onnxruntime_web import ARCHIVE, FILES, PACKAGE, VERSION, runtime_files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def runtime(request):
    """The folder of onnxruntime-web's files, which npm fetches once for all runs."""
    folder = request.config.cache.mkdir(f"{PACKAGE}-{VERSION}")
    if not all((folder / file.name).is_file() for file in FILES.values()):
        try:
            contents = runtime_files()
        except AslsparkError as error:
            pytest.skip(f"{PACKAGE} {VERSION} is not here, and cannot be fetched: {error}")
        for name, content in contents.items():
            (folder / FILES[name].name).write_bytes(content)
    return folder


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@contextmanager
def static_server(folder):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def exported(runtime, tmp_path_factory):
    require_browser()
    out = tmp_path_factory.mktemp("static") / "page"
    export_page("letters", str(out), str(runtime))
    return out


@pytest.fixture(scope="module")
def address(exported):
    with static_server(exported) as started:
        yield started


def drawn(letter, size=320):
    return Image.fromarray(draw_hand(letter, seed=11, index=0, signer=3, size=size, channels=3))


@pytest.fixture(scope="module")
def opened(address, tmp_path_factory):
    scenes = [(drawn(letter), 4) for letter in "FLB"]
    camera = film(tmp_path_factory.mktemp("film") / "flb.mjpeg", [*scenes, (None, 8)])
    with browser(tmp_path_factory.mktemp("browser"), camera, alone=True) as context:
        yield context


@pytest.fixture
def page(opened, address):
    with opened_page(opened, address) as page:
        yield page


def readings(page, paths):
    page.set_input_files("#files", [str(path) for path in paths])
    return page.evaluate("async () => (await import('/link.js')).ask([...document.getElementById('files').files])")


def as_in_python(given, answer):
    """See that a reading in the browser is the answer of the Python reader."""
    assert (given["letter"], given["reason"]) == (answer.letter, answer.reason)
    assert [guess["letter"] for guess in given["top"][:1]] == [letter for letter, _ in answer.top[:1]]
    if answer.hand is None or answer.hand.landmarks is None:
        assert given["hand"] is None
        return
    assert given["probability"] == pytest.approx(answer.probability, abs=0.02)
    assert given["hand"]["side"] == answer.hand.side
    apart = np.abs(np.array(given["hand"]["points"]) - answer.hand.landmarks).max(axis=0)
    assert (apart < (0.01, 0.01, 0.03)).all(), apart  # the depth is uncertain


def test_drawn_hands_are_read_as_in_python_with_their_landmarks(page, address, tmp_path):
    paths = [tmp_path / f"{name}.png" for name in (*"BCLVY", "upside", "left", "turned", "none")]
    for letter, path in zip("BCLVYBLL", paths, strict=False):
        drawn(letter).save(path)
    drawn("B").rotate(180).save(tmp_path / "upside.png")
    drawn("L").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "left.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    drawn("L").resize((1500, 1500)).rotate(90).save(tmp_path / "turned.png", exif=exif)
    Image.new("RGB", (200, 120), "grey").save(tmp_path / "none.png")
    reader = Reader.load("letters")
    found = dict(zip((path.stem for path in paths), readings(page, paths), strict=True))
    for path in paths:
        as_in_python(found[path.stem], reader.read(path.read_bytes()))
    assert [found[name]["letter"] for name in (*"BCLVY", "turned")] == [*"BCLVY", "L"]
    assert found["left"]["hand"]["side"] != found["L"]["hand"]["side"]
    assert page.faults == []


@pytest.mark.long
def test_photographs_are_read_as_in_python(page, real_data):
    images = real_data / "images"
    paths = [*sorted((images / "studio_hands" / "b").glob("hand3*_1_*"))[:1]]
    paths += [next(iter(sorted((images / "alphabet_frames" / label).glob("*.jpg")))) for label in "AW"]
    reader = Reader.load("letters")
    for path, given in zip(paths, readings(page, paths), strict=True):
        as_in_python(given, reader.read(path.read_bytes()))


@pytest.mark.parametrize("upright", [False, True])
def test_landmarks_become_the_features_of_training(page, upright):
    random = np.random.default_rng(3)
    vectors = random.normal(size=(4, HAND_NUMBERS)).astype(np.float32)
    vectors[:, 126] = [1, 0, 1, 0]
    vectors[:, 127] = 1
    script = """async ({hands, upright}) => {
        const {FEATURES, landmarkFeatures, hangsDown} = await import('/landmark_features.js');
        return [FEATURES, hands.map(([hand, side]) => landmarkFeatures(hand, side, upright))];
    }"""
    points = vectors[:, : WORLD_POINTS.stop].reshape(-1, 2, 21, 3).tolist()
    sides = ["right" if right else "left" for right in vectors[:, 126]]
    hands = [({"landmarks": flat, "world": world}, side) for (flat, world), side in zip(points, sides, strict=True)]
    count, features = page.evaluate(script, {"hands": hands, "upright": upright})
    assert count == FEATURES
    assert np.array(features) == pytest.approx(landmark_features(vectors, upright), abs=1e-5)


def test_a_lone_palm_needs_a_third_of_the_confidence_as_in_python(page):
    script = """async () => {
        const [{palmsIn}, {square}] = [await import('/palms.js'), await import('/square.js')];
        const count = (given, confidence) => {
            const scores = new Float32Array(2016).fill(-100);
            given.forEach((score, n) => { scores[40 * n] = Math.log(score / (1 - score)); });
            return palmsIn({boxes: new Float32Array(2016 * 18), scores}, square(50, 50, 100), confidence).length;
        };
        return [count([0.3], 0.31), count([0.3], 0.89), count([0.3], 0.91), count([0.4, 0.5], 0.49)];
    }"""
    assert page.evaluate(script) == [1, 1, 0, 1]


def test_squares_are_searched_and_cut_as_in_python(page):
    sizes = [(640, 480), (300, 1280), (192, 192)]
    script = """async (sizes) => {
        const {searchSquares} = await import('/hand_finder.js');
        return sizes.map(([width, height]) => [...searchSquares(width, height)]);
    }"""
    for (width, height), searches in zip(sizes, page.evaluate(script, sizes), strict=True):
        for expected, given in zip(search_squares(width, height), searches, strict=True):
            wanted = [[square.x, square.y, square.side] for _, square in expected]
            assert np.array([[one["x"], one["y"], one["side"]] for one in given]) == pytest.approx(np.array(wanted))
    pixels = np.random.default_rng(1).integers(0, 256, (330, 431, 3), np.uint8)
    squares = [Square(210, 160, 431), Square(215.5, 165.0, 431 * 3.0), Square(90.3, 300.1, 500, 0.7, mirrored=True)]
    script = """async ({width, height, data, squares}) => {
        const {Picture} = await import('/square.js');
        const picture = new Picture({width, height, data});
        return squares.map((square) => Array.from(picture.cut(square, 96)));
    }"""
    rgba = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]).ravel().tolist()
    given = {"width": 431, "height": 330, "data": rgba, "squares": [vars(square) for square in squares]}
    for square, cut in zip(squares, page.evaluate(script, given), strict=True):
        here = Picture(pixels).cut(square, 96).astype(float)
        there = np.array(cut).reshape(here.shape) * 255
        assert np.abs(there - here).max() < 1.01  # what is cut off hangs on the last bit
        assert (np.abs(there - here) > 0.01).mean() < 0.001


@pytest.mark.long
def test_a_hand_before_the_camera_spells_a_word_and_is_outlined(page, address):
    page.click("text=Start camera")
    until(page, "document.getElementById('text').value.includes('FLB ')", seconds=120)
    until(
        page,
        "() => { const c = document.getElementById('outline'); "
        "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0) }",
    )
    page.click("text=Stop camera")
    assert page.inner_text("#stage-words") == "The camera is off."
    assert page.asked
    assert all(url.startswith((address, "blob:", "data:")) for url in page.asked)
    assert page.faults == []


def test_pictures_that_are_chosen_show_letter_guesses_and_hand(page, tmp_path):
    drawn("L").save(tmp_path / "l.png")
    (tmp_path / "none.png").write_bytes(b"no picture")
    page.set_input_files("#files", [str(tmp_path / "l.png"), str(tmp_path / "none.png")])
    until(page, "document.getElementById('status').textContent == '1 of 2 read'")
    first, second = (item.inner_text() for item in page.query_selector_all("#results li"))
    assert first.startswith("L ")
    # The other guesses are those that come to 1 % at least.
    assert re.fullmatch(r"L \d+ % \(l\.png\)\nor [A-Z] [1-9]\d* %(, [A-Z] [1-9]\d* %)?", first)
    assert "not a picture" in second
    script = """() => [...document.querySelectorAll('#results canvas')].map((canvas) =>
        canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0))"""
    assert page.evaluate(script) == [True, False]


def test_the_page_may_send_nothing_to_another_address(page, tmp_path):
    assert "no picture leaves this machine" in page.inner_text("header")
    with static_server(tmp_path) as other:
        script = """async (url) => {
            const kept = new Promise((resolve) =>
                addEventListener('securitypolicyviolation', (found) => resolve(found.effectiveDirective)));
            const sent = await fetch(url, {mode: 'no-cors'}).then(() => 'sent', () => 'not sent');
            return [sent, await kept];
        }"""
        assert page.evaluate(script, other) == ["not sent", "connect-src"]


def test_a_page_that_was_open_once_reads_without_its_server(exported, opened, tmp_path):
    drawn("L").save(tmp_path / "l.png")
    with static_server(exported) as address, opened_page(opened, address) as page:
        until(page, "navigator.serviceWorker.controller !== null")
    with opened_page(opened, address) as page:
        page.set_input_files("#files", str(tmp_path / "l.png"))
        until(page, "document.getElementById('status').textContent == '1 of 1 read'")
        assert page.inner_text("#results").startswith("L ")


def test_a_camera_that_the_browser_withholds_says_so_where_its_picture_would_be(page, address):
    script = """(address) => {
        const frame = document.createElement('iframe');
        frame.allow = "camera 'none'";
        frame.src = address;
        document.body.append(frame);
    }"""
    page.evaluate(script, address)
    frame = page.wait_for_selector("iframe").content_frame()
    frame.wait_for_selector("html[data-ready]")
    frame.click("#camera")
    frame.wait_for_selector("#stage-words.trouble")
    assert "may not use the camera. Allow it" in frame.inner_text("#stage-words")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_a_phone_needs_no_scrolling_sideways(page, scheme, tmp_path):
    from axe_playwright_python.sync_playwright import Axe

    drawn("L").save(tmp_path / "l.png")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 740})
    page.set_input_files("#files", str(tmp_path / "l.png"))
    until(page, "document.getElementById('status').textContent == '1 of 1 read'")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_bundles_that_read_pixels_are_refused_in_one_line(tmp_path):
    bundles = REPOSITORY / "tests" / "fixtures" / "bundles"
    for name in ("format-1-network", "format-1-forest"):
        with pytest.raises(AslsparkError, match=r"the landmarks of hands, and this model takes picture.*letters$"):
            export_page(str(bundles / name), str(tmp_path / "page"))
    blind = network("landmark_net", inputs=("landmarks",))
    with pytest.raises(AslsparkError, match=r"looks for no hands in pictures; train it with hands.on=true"):
        export_page(write_bundle(tmp_path / "blind", blind), str(tmp_path / "page"))
    assert not (tmp_path / "page").exists()


def test_while_npm_fetches_the_runtime_the_log_says_so(tmp_path, monkeypatch):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (tmp_path / "npm").write_text(f"#!/bin/sh\ntimeout 30 cat '{gate}'\nexit 1\n")
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    said = []

    class Opening(logging.Handler):
        def emit(self, record):
            said.append(record.getMessage())
            gate.write_text("go on")

    listening, log = Opening(), logging.getLogger("aslspark")
    before = log.level
    log.setLevel(logging.INFO)
    log.addHandler(listening)
    try:
        with pytest.raises(AslsparkError, match="npm says"):
            runtime_files()
    finally:
        log.removeHandler(listening)
        log.setLevel(before)
    assert said[0].startswith(f"  npm fetches {PACKAGE} {VERSION}: 0:0")


def test_another_runtime_than_the_pinned_one_is_refused(runtime, tmp_path, monkeypatch):
    with pytest.raises(AslsparkError, match=r"--assets .*: it holds no ort.wasm.bundle.min.mjs; give the archive"):
        runtime_files(str(tmp_path))
    (tmp_path / ARCHIVE).write_bytes(b"another")
    with pytest.raises(AslsparkError, match=rf"--assets .*{ARCHIVE}: its integrity is sha512-.* in place of sha512-"):
        runtime_files(str(tmp_path / ARCHIVE))
    for file in FILES.values():
        (tmp_path / file.name).write_bytes((runtime / file.name).read_bytes() + b" ")
    with pytest.raises(AslsparkError, match=r"ort.wasm.bundle.min.mjs: its SHA-256 is"):
        runtime_files(str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AslsparkError, match=rf"npm, which fetches {PACKAGE}, is not installed; .*--assets FILE"):
        runtime_files()
