"""A real browser, and a camera that plays a file."""

import io
import os
import shutil
import time
from contextlib import contextmanager

import pytest
from PIL import Image

CHROMIUM = os.environ.get("ASLSPARK_TEST_CHROMIUM", "/usr/bin/chromium")
FRAMES_A_SECOND = 30
"""With which Chromium plays a file of JPEGs."""
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]


def require_browser():
    pytest.importorskip("playwright", reason="playwright is not installed")
    if not shutil.which(CHROMIUM):
        pytest.skip(f"no Chromium at {CHROMIUM}; apt-get install chromium, or set ASLSPARK_TEST_CHROMIUM")


SMALL_PLOTS = "[...document.images].filter(image => image.width < 0.7 * image.naturalWidth).map(image => image.alt)"
"""Letters of a plot have 13 pixels and more."""


def faults_of(report):
    """What keeps people from reading a job's page: on wide, dark and narrow screens, and what it asks of elsewhere."""
    require_browser()
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    from playwright.sync_api import sync_playwright

    faults = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for width, scheme in ((1280, "light"), (1280, "dark"), (380, "light")):
            page = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
            asked = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(report.as_uri())
            faults += [url for url in asked if url != report.as_uri() and not url.startswith("data:")]
            if (wide := page.evaluate("document.documentElement.scrollWidth")) > width:
                faults.append(f"{wide} pixels wide on a screen of {width}")
            empty = page.evaluate("[...document.images].filter(image => !image.naturalWidth).map(image => image.alt)")
            faults += [f"no picture: {name}" for name in empty]
            faults += [f"too small to be read: {name}" for name in page.evaluate(SMALL_PLOTS)]
            faults += [fault["id"] for fault in axe.Axe().run(page).response["violations"]]
        chromium.close()
    return faults


def film(path, scenes, size=(640, 480)):
    """Write a film of still pictures: (picture or None for a black one, seconds) each."""
    with open(path, "wb") as file:
        for picture, seconds in scenes:
            frame = Image.new("RGB", size)
            if picture is not None:
                share = min(size[0] / picture.width, size[1] / picture.height) * 0.8
                small = picture.convert("RGB").resize((round(picture.width * share), round(picture.height * share)))
                frame.paste(small, ((size[0] - small.width) // 2, (size[1] - small.height) // 2))
            data = io.BytesIO()
            frame.save(data, "JPEG", quality=90)
            file.write(data.getvalue() * round(seconds * FRAMES_A_SECOND))
    return str(path)


@contextmanager
def opened_page(context, address):
    """A page of the live page's kind when it is ready; `faults` and `asked` are what went wrong, and every request."""
    page = context.new_page()
    page.faults, page.asked = [], []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda message: message.type == "error" and page.faults.append(message.text))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    yield page
    page.close()


def until(page, script, seconds=30):
    """Wait for an expression of the page to be true; Playwright's own wait would need a page that allows eval."""
    end = time.monotonic() + seconds
    while not page.evaluate(script):
        assert time.monotonic() < end, f"not within {seconds} s: {script}; text: {page.inner_text('#status')!r}"
        page.wait_for_timeout(50)


@contextmanager
def browser(folder, camera=None, *, alone=False, **context):
    """A browser with a profile of its own; gives its context. Alone, it reaches no host but this machine."""
    from playwright.sync_api import sync_playwright

    arguments = [*ARGUMENTS, *([f"--use-file-for-fake-video-capture={camera}"] if camera else [])]
    arguments += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"] if alone else []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch_persistent_context(
            str(folder),
            executable_path=CHROMIUM,
            args=arguments,
            ignore_default_args=["--headless"],
            headless=True,
            permissions=["camera", "clipboard-read", "clipboard-write"],
            **context,
        )
        try:
            yield opened
        finally:
            opened.close()
