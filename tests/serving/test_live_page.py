import csv

import pytest
from browser import browser, film, opened_page, require_browser, until
from PIL import Image
from serving_bundles import service, spelling_bundle

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


def test_practice_waits_for_the_letter_that_it_asks_for(page):
    script = """async () => {
        const {Practice} = await import('/words.js');
        const practice = new Practice(['A', 'B', 'C'], () => 0);
        const wanted = [practice.wanted];
        const said = ['C', 'A', 'A', 'B'].map((letter) => {
            const right = practice.see(letter);
            wanted.push(practice.wanted);
            return right;
        });
        return {said, wanted, right: practice.right, wrong: practice.wrong};
    }"""
    found = page.evaluate(script)
    assert found["said"] == [False, True, False, True]
    assert found["wanted"] == ["A", "A", "B", "B", "A"]
    assert (found["right"], found["wrong"]) == (2, 2)


def test_a_hand_before_the_camera_spells_a_word(page, opened):
    page.click("text=Start camera")
    until(
        page,
        "() => { const c = document.getElementById('outline'); return c.width === 640 && "
        "c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0) }",
    )
    until(page, "document.getElementById('text').value.includes('BALL ')", seconds=90)
    page.click("text=Stop camera")
    assert page.inner_text("#stage-words") == "The camera is off."
    page.click("text=Copy")
    until(page, "document.getElementById('status').textContent == 'Copied'")
    assert "BALL " in page.evaluate("navigator.clipboard.readText()")
    assert page.faults == []


def test_a_camera_that_is_stopped_while_its_picture_is_made_sends_nothing_more(page):
    script = """async () => {
        const {Camera} = await import('/camera.js');
        const camera = new Camera(document.createElement('video'), () => {}, () => {});
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
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached[:8] == ["camera", "text", "space", "delete", "clear", "copy", "speak", "practice"]
    assert "files" in reached
    page.focus("#text")
    page.keyboard.type("AB")
    page.focus("#delete")
    page.keyboard.press("Enter")
    page.focus("#space")
    page.keyboard.press("Space")
    assert page.input_value("#text") == "A "
    assert page.inner_text("#status") == "Space added"


def test_pictures_that_are_chosen_are_read_and_a_bad_one_says_why(page, real_data, tmp_path):
    (tmp_path / "none.png").write_bytes(b"no picture")
    Image.open(hand(real_data, "L")).save(tmp_path / "l.webp")
    page.set_input_files("#files", [str(hand(real_data, "B")), str(tmp_path / "none.png"), str(tmp_path / "l.webp")])
    until(page, "document.getElementById('status').textContent == '2 of 3 read'")
    first, second, third = (item.inner_text() for item in page.query_selector_all("#results li"))
    assert first.startswith("B ")
    assert "not a picture" in second
    assert third.startswith("L ")
    assert page.faults == []


def test_the_page_says_what_it_is_and_asks_no_other_host(page, running):
    words = page.inner_text("header")
    assert "does not read sign language" in words
    assert "not stored" in words
    page.click("summary")
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
    page.click("summary")
    page.click("text=Practise")
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
    with (running.recordings / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["signer"]) for row in rows] == [("L", "me-1")] * 3
    assert all(Image.open(running.recordings / row["path"]).size == (640, 480) for row in rows)
    assert page.faults == []
