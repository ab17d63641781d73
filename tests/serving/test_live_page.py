import csv
import json
import signal
import urllib.request

import numpy as np
import pytest
from browser import browser, film, opened_page, require_browser, until
from PIL import Image
from serving_bundles import network_saying, picture_file, service, spelling_bundle, write_bundle

pytestmark = pytest.mark.slow

require_browser()


def hand(real_data, letter):
    """A picture of the signer from whom the model has not learned."""
    return sorted((real_data / "images" / "studio_hands" / letter.lower()).glob("hand3*"))[3]


@pytest.fixture(scope="module")
def camera(real_data, tmp_path_factory):
    """A film of someone who spells BALL."""
    scenes = []
    for letter in "BALL":
        scenes += [(Image.open(hand(real_data, letter)), 2), (None, 0.9 if len(scenes) == 4 else 0.1)]
    return film(tmp_path_factory.mktemp("film") / "ball.mjpeg", [*scenes, (None, 6)])


@pytest.fixture(scope="module")
def running(real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("spelling")
    bundle = spelling_bundle(folder / "bundle", real_data)
    with service(bundle, "--looks", "1", "--record", str(folder / "mine")) as started:
        started.recordings = folder / "mine"
        yield started


@pytest.fixture(scope="module")
def opened(camera, tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser"), camera) as context:
        yield context


@pytest.fixture
def page(opened, running):
    with opened_page(opened, running.address) as page:
        yield page
        page.evaluate("localStorage.clear()")


def spell(page, moments, **settings):
    """Run the page's own speller over (milliseconds, letter, probability)."""
    script = """async ({moments, settings}) => {
        const {Speller} = await import('/words.js');
        const speller = new Speller(settings);
        for (const [time, letter, probability] of moments) speller.see(letter, probability, time);
        return speller.text;
    }"""
    return page.evaluate(script, {"moments": moments, "settings": settings})


def held(*parts, every=100):
    """Frames of letters that are held: (letter or None, milliseconds) each."""
    moments, time = [], 0
    for letter, length in parts:
        for _ in range(length // every):
            moments.append((time, letter, 0.95))
            time += every
    return moments


def test_letters_become_words(page):
    for expected, moments in {
        "A": held(("A", 1000)),
        "": held(("A", 600)),
        "CAB": held(("C", 1500), ("A", 1500), ("B", 1500)),
        "AA": held(("A", 1000), (None, 700), ("A", 1000)),
        "L": held(("L", 4000)),
        "BA": held(("B", 1000), ("A", 1000), (None, 300), ("A", 1000)),
        "AB": held(("A", 1000), (None, 500), ("B", 1000)),
        "AB ": held(("A", 1000), (None, 500), ("B", 1000), (None, 2500)),
        "A B": held(("A", 1000), (None, 2500), ("B", 1000)),
        "B ": held(("B", 1000), ("space", 1500), ("nothing", 3000)),
        "BB": held(("B", 1000), ("A", 1000), ("del", 1000), ("B", 1000)),
    }.items():
        assert spell(page, moments) == expected, moments


def test_a_frame_that_is_misread_or_missed_changes_nothing(page):
    moments = held(("A", 1000), ("B", 1000))
    for misread in (3, 14):
        moments[misread] = (moments[misread][0], "S", 0.99)
    moments[12] = (moments[12][0], None, 0)
    assert spell(page, moments) == "AB"


def test_letters_that_are_not_sure_are_not_added(page):
    moments = [(time, letter, 0.5) for time, letter, _ in held(("A", 2000))]
    assert spell(page, moments) == ""
    assert spell(page, moments, sure=0.4) == "A"


def practise(page, steps, kept=None, **options):
    """Practise A, B, C: (seconds since 1970, letter that is held, or None to pass over) each.

    Gives what was wanted, and counted. Of letters that are equally weak, the earlier comes first.
    """
    script = """async ({steps, kept, options}) => {
        const [{Practice}, {Progress}] = [await import('/practice.js'), await import('/progress.js')];
        const storage = {getItem: () => kept, setItem: (_, value) => { kept = value; }};
        const random = ((next) => () => next++)(0);
        const practice = new Practice(new Progress(storage), ['A', 'B', 'C'], 1000 * steps[0][0], {...options, random});
        const wanted = [practice.wanted];
        for (const [seconds, letter] of steps) {
            if (letter) practice.see(letter, 1000 * seconds);
            else practice.skip(1000 * seconds);
            wanted.push(practice.wanted);
        }
        return [wanted.join(''), JSON.parse(kept)];
    }"""
    return page.evaluate(script, {"steps": steps, "kept": kept, "options": options})


def test_weak_letters_are_asked_for_first_and_those_of_later_boxes_wait_longer(page):
    wanted, counted = practise(page, [(100, "A"), (101, "A"), (102, "C"), (103, "B"), (104, "C")])
    assert wanted == "ABBBCB"  # when none is due, the one that is due soonest
    assert {letter: entry["box"] for letter, entry in counted.items()} == {"A": 2, "B": 1, "C": 2}
    assert counted["B"] == {"box": 1, "tries": 3, "right": 1, "seconds": 3, "seen": 103_000}
    kept = json.dumps(counted)
    assert practise(page, [(140, "B"), (141, "A")], kept)[0] == "BAC"  # B was wrong; A and C wait for ten minutes
    assert practise(page, [(800, None)], kept)[0] == "BA"
    kept = json.dumps({"A": counted["A"], "B": counted["B"]})
    assert practise(page, [(110, None)], kept)[0] == "CB"  # what is new comes before what is not due
    assert practise(page, [(140, None)], kept)[0] == "BC"  # and after what was wrong


def test_words_ask_for_the_letters_that_can_be_read_in_their_order(page):
    script = "async (text) => (await import('/practice.js')).wordsOf(text)"
    assert page.evaluate(script, "Café, jazz\n o'clock 7 ") == ["CAFE", "JAZZ", "OCLOCK"]
    steps = [(1, "C"), (2, "B"), (3, "A"), (4, "B"), (5, "A"), (6, "A")]
    assert practise(page, steps, words=["CAJB", "ZZ", "AA"])[0] == "CAABAAC"


def test_progress_that_others_wrote_is_left_out(page):
    good = {"box": 3, "tries": 4, "right": 2, "seconds": 1.5, "seen": 5}
    bad = [{**good, "box": 9}, {**good, "right": 5}, {**good, "seen": "x"}, None, 7, {}]
    script = """async (kept) => {
        const {Progress} = await import('/progress.js');
        const given = new Progress({getItem: () => kept}).letters;
        return Object.keys(given).join('');
    }"""
    for entry in bad:
        assert page.evaluate(script, json.dumps({"A": good, "B": entry, "__proto__": good})) == "A"
    assert [page.evaluate(script, kept) for kept in ("{", "null", "7", None)] == [""] * 4


@pytest.mark.long
def test_a_hand_before_the_camera_spells_a_word_of_ones_own_and_its_letters_are_counted(page):
    page.click("#practice-own")  # there is no word yet
    assert page.evaluate("document.activeElement.id") == "words"
    page.keyboard.type("Ball jazz")
    assert page.inner_text("#words-said").startswith("2 words. Movements are not read (J, Z)")
    page.click("#practice-own")
    assert page.inner_text("#practice-words") == "Spell BALL — now B"
    page.click("text=Start camera")
    until(
        page,
        "() => { const c = document.getElementById('outline'); return c.width === 640 && "
        "c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0) }",
    )
    until(page, "document.getElementById('text').value.includes('BALL ')", seconds=90)
    until(
        page, "[...document.querySelectorAll('#progress meter')].filter((bar) => bar.value > 0).length == 3", seconds=90
    )
    page.click("text=Stop camera")
    assert page.inner_text("#stage-words") == "The camera is off."
    page.click("text=Copy")
    until(page, "document.getElementById('status').textContent == 'Copied'")
    assert "BALL " in page.evaluate("navigator.clipboard.readText()")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert [bar.inner_text().split()[0] for bar in page.query_selector_all("#progress li")] == ["A", "B", "L"]
    assert page.input_value("#words") == "Ball jazz"
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#forget")
    assert page.inner_text("#progress-words").startswith("No tries yet")
    assert page.evaluate("Object.keys(localStorage)") == ["aslspark.words"]
    assert page.faults == []


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("NotAllowedError", "Allow it in the browser, at the symbol beside the address"),
        ("NotFoundError", "No camera was found. Connect one"),
        ("NotReadableError", "another program or page may use it"),
        ("OverconstrainedError", "does not start (its words)"),
    ],
)
def test_a_camera_that_does_not_start_says_what_would_work(page, error, sentence):
    script = "async (name) => (await import('/camera.js')).troubleOf(new DOMException('its words', name))"
    assert sentence in page.evaluate(script, error)


def test_an_address_at_which_browsers_give_no_camera_says_which_do(opened, running):
    with opened_page(opened, running.address.replace("localhost", "0.0.0.0")) as page:
        assert "Open this page by https" in page.inner_text("#stage-words")
        page.click("#camera")
        assert "Open this page by https" in page.inner_text("#stage-words")
        assert page.faults == []


def test_the_page_can_be_installed_and_keeps_its_own_files_alone(page, running):
    manifest = running.ask("/manifest.webmanifest")[1]
    for icon in manifest["icons"]:
        with urllib.request.urlopen(f"{running.address}/{icon['src']}") as answer:
            side = Image.open(answer).width
        assert icon["sizes"] == f"{side}x{side}"
    kept = """async () => {
        await navigator.serviceWorker.ready;
        const names = await caches.keys();
        const requests = await (await caches.open(names[0])).keys();
        return [names.length, requests.map((request) => new URL(request.url).pathname)];
    }"""
    count, paths = page.evaluate(kept)
    assert count == 1
    assert {"/", "/page.js", "/page.json", "/icon-192.png"} <= set(paths)
    assert not {"/predict", "/health", "/model", "/worker.js"} & set(paths)


def test_a_camera_that_is_stopped_while_its_picture_is_made_sends_nothing_more(page):
    script = """async () => {
        const {Camera} = await import('/camera.js');
        const camera = new Camera(document.createElement('video'), {answered() {}, failed() {}, gone() {}});
        await camera.start();
        const {link, picture} = camera;
        const closed = new Promise((resolve) => link.addEventListener('close', resolve));
        camera.picture = async () => {
            const made = await picture.call(camera);
            camera.stop();
            await closed;
            return made;
        };
        await closed;
        await new Promise(requestAnimationFrame);
        return link.readyState === WebSocket.CLOSED;
    }"""
    assert page.evaluate(script)
    assert page.faults == []


def test_the_page_is_used_by_keyboard_alone(page):
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached[:9] == ["camera", "text", "space", "delete", "clear", "copy", "speak", "practice", "practice-own"]
    assert "files" in reached
    page.focus("#text")
    page.keyboard.type("AB")
    page.focus("#delete")
    page.keyboard.press("Enter")
    page.focus("#space")
    page.keyboard.press("Space")
    assert page.input_value("#text") == "A "
    assert page.inner_text("#status") == "Space added"
    page.keyboard.press("Space")
    assert page.input_value("#text") == "A "
    assert page.inner_text("#status") == "There is no word to end"


def test_pictures_that_are_chosen_are_read_and_a_bad_one_says_why(page, real_data, tmp_path):
    (tmp_path / "none.png").write_bytes(b"no picture")
    Image.open(hand(real_data, "L")).save(tmp_path / "l.webp")
    page.set_input_files("#files", [str(hand(real_data, "B")), str(tmp_path / "none.png"), str(tmp_path / "l.webp")])
    until(page, "document.getElementById('status').textContent == '2 of 3 read'")
    first, second, third = (item.inner_text() for item in page.query_selector_all("#results li"))
    assert first.startswith("B ")
    assert "not a picture" in second
    assert page.query_selector_all("#results img")[1].is_hidden()
    assert third.startswith("L ")
    assert page.faults == []


def test_pictures_of_which_one_is_too_large_are_read_all_the_same(page, real_data, tmp_path):
    large = tmp_path / "large.jpg"
    large.write_bytes(b"no picture" * 5_000_000)  # more than a request may have
    page.set_input_files("#files", [str(hand(real_data, "B")), str(large), str(hand(real_data, "L"))])
    until(page, "document.getElementById('status').textContent == '2 of 3 read'")
    first, second, third = (item.inner_text() for item in page.query_selector_all("#results li"))
    assert first.startswith("B ")
    assert "a request may have 48,000,000" in second
    assert third.startswith("L ")


def test_guesses_of_less_than_1_percent_are_left_out(page):
    script = "async (guesses) => (await import('/guesses.js')).others(guesses)"
    likely, unlikely = {"letter": "M", "probability": 0.12}, {"letter": "S", "probability": 0.004}
    assert page.evaluate(script, [likely, unlikely]) == "or M 12 %"
    assert page.evaluate(script, [unlikely]) == ""


def test_letters_of_which_neither_is_sure_are_answered_as_a_pair_with_how_each_is_formed(opened, tmp_path):
    labels, picture = ("L", "M", "N"), tmp_path / "hand.jpg"
    picture.write_bytes(picture_file())
    bundle = write_bundle(tmp_path / "unsure", network_saying(np.array([0.06, 0.52, 0.42]), labels))
    with service([bundle]) as unsure, opened_page(opened, unsure.address) as page:
        page.set_input_files("#files", str(picture))
        until(page, "document.querySelector('#results strong')?.textContent == 'M or N'")
        shown = page.inner_text("#results li")
        assert "52 % or 42 %" in shown
        assert "or L 6 %" in shown
        page.click("#camera")
        until(page, "document.getElementById('letter').textContent == 'M or N'")
        assert page.inner_text("#certainty-words") == "94 %"
        assert page.inner_text("#others").startswith("M: ")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        page.click("#camera")
        assert page.input_value("#text") == ""


@pytest.mark.parametrize(
    ("shares", "two"),
    [([0.59, 0.22], ["M", "N"]), ([0.6, 0.4], None), ([0.59, 0.2], None), ([0.5], None), ([], None)],
)
def test_a_pair_is_two_letters_that_are_likely_enough_together_alone(page, shares, two):
    guesses = [{"letter": letter, "probability": share} for letter, share in zip("MN", shares, strict=False)]
    assert page.evaluate("async (guesses) => (await import('/guesses.js')).pair(guesses)", guesses) == two


def test_what_is_said_of_a_pair_is_how_each_is_formed(page):
    script = "async ([two, chart]) => (await import('/guesses.js')).formed(two, chart)"
    chart = [{"letter": "M", "words": "thumb under three fingers"}, {"letter": "N", "words": "thumb under two"}]
    assert page.evaluate(script, [["N", "M"], chart]).startswith("N: thumb under two; M: thumb under three fingers. ")
    assert page.evaluate(script, [["N", "del"], chart]).startswith("N: thumb under two; del: another shape. ")


def test_of_several_models_the_page_lets_one_be_chosen(opened, tmp_path):
    from axe_playwright_python.sync_playwright import Axe

    labels, picture = ("A", "B", "L"), tmp_path / "hand.jpg"
    picture.write_bytes(picture_file())
    bundles = [
        write_bundle(tmp_path / f"says_{labels[best]}", network_saying(np.eye(3)[best] * 0.85 + 0.05, labels))
        for best in (0, 2)
    ]
    with service(bundles) as both, opened_page(opened, both.address) as page:
        sockets = []
        page.on("websocket", lambda socket: sockets.append(socket.url))
        assert page.inner_text("#model").startswith("says_A@")
        assert [option.inner_text() for option in page.query_selector_all("#which option")] == ["says_A", "says_L"]
        page.set_input_files("#files", str(picture))
        until(page, "document.querySelector('#results strong')?.textContent == 'A'")
        page.click("#camera")
        until(page, "document.getElementById('letter').textContent == 'A'")
        page.click("#practice")
        page.select_option("#which", "says_L")
        until(page, "document.getElementById('model').textContent.startsWith('says_L@')")
        until(page, "document.querySelector('#results strong')?.textContent == 'L'")
        until(page, "document.getElementById('letter').textContent == 'L'")
        assert [url.rpartition("/")[2] for url in sockets] == ["live", "live?model=says_L"]
        assert page.inner_text("#practice-words").startswith("Practice has ended, since another model reads now.")
        page.click("#practice")
        page.click("#practice")
        assert "ended" not in page.inner_text("#practice-words")
        page.click("#camera")
        assert Axe().run(page).violations_count == 0
        assert page.faults == []


def test_one_model_is_no_choice(page):
    assert page.is_hidden("#models")


def test_practice_asks_for_the_camera_while_it_is_off(page):
    page.click("#practice")
    wanted = page.inner_text("#practice-words strong")
    assert page.inner_text("#status") == f"Start the camera, and make the letter {wanted}"
    page.click("text=Start camera")
    until(page, "document.getElementById('camera').textContent == 'Stop camera'")
    page.click("text=Another letter")
    assert page.inner_text("#status") == f"Make the letter {page.inner_text('#practice-words strong')}"


def test_a_frame_that_is_not_answered_for_long_is_spoken_of_until_its_answer_comes(page, running):
    page.click("text=Start camera")
    until(page, "document.getElementById('others').textContent.trim() != ''")
    running.process.send_signal(signal.SIGSTOP)
    try:
        until(page, "document.getElementById('stage-words').textContent.startsWith('No answer for ')")
    finally:
        running.process.send_signal(signal.SIGCONT)
    until(page, "document.getElementById('stage-words').textContent == ''")
    assert page.faults == []


def test_the_page_says_what_it_is_and_asks_no_other_host(page, running):
    words = page.inner_text("header")
    assert "does not read sign language" in words
    assert "not stored" in words
    assert "they are not read" in words
    page.click("#all summary")
    until(page, "[...document.querySelectorAll('#chart img')].some((image) => image.naturalWidth === 160)")
    assert len(page.query_selector_all("#chart li")) == 26
    assert page.asked
    assert all(url.startswith((running.address, "blob:", "data:")) for url in page.asked)
    assert page.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_a_phone_needs_no_scrolling_sideways(page, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 740})
    tried = {"box": 1, "tries": 8, "right": 3, "seconds": 9.5, "seen": 5}
    page.evaluate("(kept) => localStorage.setItem('aslspark.progress', kept)", json.dumps({"A": tried, "L": tried}))
    page.reload()
    page.wait_for_selector("html[data-ready]")
    for part in ("all", "alike", "own"):
        page.click(f"#{part} summary")
    page.fill("#words", "Ball jazz")
    page.click("#practice-own")
    page.click("text=Show how")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_recorded_pictures_lie_in_the_folder_with_their_labels(page, running):
    page.click("text=Start camera")
    until(page, "/[A-Z]/.test(document.getElementById('letter').textContent)", seconds=30)
    page.fill("#signer", "me-1")
    page.select_option("#label", "L")
    page.fill("#count", "3")
    page.click("#start-record")
    until(page, "document.getElementById('record-status').textContent == '3 pictures of L kept'")
    page.fill("#count", "1")
    page.click("#start-record")
    until(page, "document.getElementById('record-status').textContent == '1 picture of L kept'")
    with (running.recordings / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["signer"]) for row in rows] == [("L", "me-1")] * 4
    assert all(Image.open(running.recordings / row["path"]).size == (640, 480) for row in rows)
    assert page.faults == []
