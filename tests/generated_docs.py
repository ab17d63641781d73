"""Writes into the pages what the code decides: the sketch of the rooms, tables, numbers.

`python tests/generated_docs.py`. In: the package. Out: in the pages, blocks between two comments, and the numbers of
the sentences in `NUMBERS`; and the table of `promises.py`. `--check` writes nothing, and ends with 1 where a page says
something else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import fields
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import promises
import reference_pages
import tomllib

from aslspark.bundle.files import FORMAT, MOST_FILE_BYTES
from aslspark.cli.settings import settings_of
from aslspark.common.catalog import NETWORKS
from aslspark.common.markdown import code, text
from aslspark.common.plain_folder import MOST_DEPTH, MOST_FILES
from aslspark.common.settings import Config, TrainingConfig
from aslspark.data.files.local_folders import MOST_LINKED_FOLDERS
from aslspark.data.pictures.archives import MAX_ENTRIES, MAX_RATIO, PIECE_BYTES
from aslspark.images.decode_cost import MOST_SCANNED_PIXELS, MOST_SCANS
from aslspark.images.image_spec import MAX_PIXELS
from aslspark.images.local_file import MAX_FILE_BYTES
from aslspark.monitoring import ALARM_RATE
from aslspark.monitoring.drift import LEAST_ROWS, RESAMPLES
from aslspark.monitoring.profile import MOST_ROWS
from aslspark.registry.registry import ALPHA, MOST_FALL
from aslspark.serving import events, folder_watch, live, logs, server
from aslspark.serving.limits import Limits
from aslspark.serving.model_holder import LONGEST_WAIT
from aslspark.training.launch.mailbox import LOOK_SECONDS, SIGN_OF_LIFE_SECONDS
from aslspark.training.launch.run import START_SECONDS
from aslspark.training.launch.task import SILENCE_SECONDS, START_SILENCE_SECONDS
from aslspark.tuning.options import Budget

REPOSITORY = Path(__file__).resolve().parent.parent
SCRIPT = "tests/generated_docs.py"
PROMISES_PAGE = str(promises.PAGE.relative_to(REPOSITORY))
LIMITS = Limits()


def rooms() -> str:
    """Draw the rooms as Mermaid, with their sizes and the imports between them that no others imply."""
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in contracts["contracts"] if contract["type"] == "layers")
    level = {
        room: number for number, layer in enumerate(layers) for room in layer.split(" | ") if not room.startswith("__")
    }
    graph = grimp.build_graph("aslspark")
    modules = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    list(TopologicalSorter(modules).static_order())  # CycleError where modules import each other in a circle
    imports: dict[str, set[str]] = {room: set() for room in level}
    for module, imported in modules.items():
        for room, other in ((_room(module), _room(name)) for name in imported):
            if room != other and room in level and other in level:
                imports[room].add(other)
    up = sum(level[other] <= level[room] for room, others in imports.items() for other in others)
    below: dict[str, set[str]] = {}
    for room in TopologicalSorter(imports).static_order():
        below[room] = imports[room].union(*(below[other] for other in imports[room]))
    lines = [f'    {room}["{room}/"]' for room in level]
    for room, others in imports.items():
        direct = [other for other in level if other in others and not any(other in below[via] for via in others)]
        lines += [f"    {room} --> {' & '.join(direct)}"] if direct else []
    drawn = "\n".join(["```mermaid", "flowchart TD", *lines, "```"])
    return f"{drawn}\n\nAn arrow is an import; those that others imply are left out. {up} arrows up, 0 circles."


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def networks() -> str:
    """Tabulate the networks that can be asked for."""
    names = {"keras": "Keras", "torch": "torch", "picture": "pictures", "landmarks": "landmarks"}
    rows = ["| `network.name` | in | takes | smallest pictures | weights |", "|---|---|---|---|---|"]
    for name, facts in NETWORKS.items():
        frameworks, inputs = (", ".join(names[word] for word in words) for words in (facts.frameworks, facts.inputs))
        least = f"{facts.least}x{facts.least}" if "picture" in facts.inputs else ""
        rows.append(f"| `{name}` | {frameworks} | {inputs} | {least} | {'ImageNet' if facts.imagenet else ''} |")
    return "\n".join(rows)


def settings() -> str:
    """Tabulate the settings of every part."""
    lines = []
    for part in fields(Config):
        about = " ".join((type(getattr(Config(), part.name)).__doc__ or "").split("\n\n")[0].split())
        lines += [f"## {part.name}", "", about, "", "| setting | default | it may be | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{setting.name}` | {code(setting.default)} | {text(setting.values)} | {text(setting.meaning)} |"
            for setting in settings_of(part.name)
        ]
        lines.append("")
    return "\n".join(lines[:-1])


BLOCKS: dict[tuple[str, str], Callable[[], str]] = {
    ("ARCHITECTURE.md", "rooms"): rooms,
    ("docs/training.md", "networks"): networks,
    ("docs/settings.md", "settings"): settings,
    ("docs/commands.md", "commands"): reference_pages.command_line,
    ("docs/api.md", "api"): reference_pages.api,
    ("docs/bundle.md", "manifest"): reference_pages.manifest,
    ("docs/http.md", "requests"): reference_pages.requests,
}
"""By page and name: `<!-- NAME: made by tests/generated_docs.py -->` and `<!-- end of NAME -->` stand around each."""

NUMBERS: tuple[tuple[str, str, tuple[float, ...]], ...] = (
    ("ARCHITECTURE.md", "give a sign of life every {} s", (SIGN_OF_LIFE_SECONDS,)),
    ("ARCHITECTURE.md", "after {} s of silence", (SILENCE_SECONDS,)),
    ("docs/training.md", "`training.tries`, {})", (TrainingConfig().tries,)),
    ("docs/bundle.md", "`format` is {}", (FORMAT,)),
    ("docs/bundle.md", "more than {} files and folders, {} folders within folders", (MOST_FILES, MOST_DEPTH)),
    ("docs/bundle.md", "a file of more than {} GiB", (MOST_FILE_BYTES / 2**30,)),
    ("docs/http.md", "Up to {} cameras", (live.MOST_CAMERAS,)),
    ("docs/http.md", "for {} s is sent away", (live.SILENT_SECONDS,)),
    ("docs/launchers.md", "Signs of life every {} s; after {} s of silence", (SIGN_OF_LIFE_SECONDS, SILENCE_SECONDS)),
    ("docs/launchers.md", "they may be silent for {} s", (START_SILENCE_SECONDS,)),
    ("docs/operations.md", "[--trials {}] [--models", (Budget().trials,)),
    ("docs/operations.md", "[--alarm-rate {}]", (ALARM_RATE,)),
    ("docs/operations.md", "[--alpha {}] [--class-fall {}]", (ALPHA, MOST_FALL)),
    ("docs/operations.md", "of up to {} rows of each split", (MOST_ROWS,)),
    ("docs/operations.md", "{} batches of that size are drawn", (RESAMPLES,)),
    ("docs/operations.md", "Batches below {} rows are not judged", (LEAST_ROWS,)),
    ("docs/safety.md", "a JPEG of more than {} scans", (MOST_SCANS,)),
    ("docs/safety.md", "of more than {} million pixels over all of them", (MOST_SCANNED_PIXELS / 1e6,)),
    ("docs/safety.md", "a picture file of more than {} MiB", (MAX_FILE_BYTES / 2**20,)),
    ("docs/safety.md", "shrank more than {} times, or more than {} entries", (MAX_RATIO, MAX_ENTRIES)),
    ("docs/safety.md", "unpacked in pieces of {} kB", (PIECE_BYTES / 2**10,)),
    ("docs/safety.md", "links to more than {} folders", (MOST_LINKED_FOLDERS,)),
    ("docs/safety.md", "`pictures.max_pixels` ({} million)", (MAX_PIXELS / 1e6,)),
    ("docs/safety.md", "more than {} files and folders, {} folders within folders", (MOST_FILES, MOST_DEPTH)),
    ("docs/safety.md", "a file of more than {} GiB", (MOST_FILE_BYTES / 2**30,)),
    ("docs/scale.md", "| a sign of life | each {} s |", (SIGN_OF_LIFE_SECONDS,)),
    ("docs/scale.md", "(its sign of life) and {} GET (whether it is to end)", (1 / LOOK_SECONDS,)),
    ("docs/scale.md", "They have {} s to start", (START_SECONDS,)),
    ("docs/serving.md", "| `--max-bytes`, `--max-pixels` | {}; {} |", (LIMITS.bytes, LIMITS.pixels)),
    ("docs/serving.md", "a request may have {} times the bytes", (LIMITS.body / LIMITS.bytes,)),
    ("docs/serving.md", "| `--max-pictures` | {} |", (LIMITS.pictures,)),
    ("docs/serving.md", "| `--max-seconds` | {} |", (LIMITS.seconds,)),
    ("docs/serving.md", "| `--max-waiting` | {} |", (LIMITS.waiting,)),
    ("docs/serving.md", "| `--max-connections` | {} |", (LIMITS.connections,)),
    ("docs/serving.md", "| `--max-held` | {} |", (LIMITS.held,)),
    ("docs/serving.md", "Up to {} cameras may be live", (live.MOST_CAMERAS,)),
    ("docs/serving.md", "nothing for {} s makes room for another", (live.ROOM_SECONDS,)),
    ("docs/serving.md", "is sent away after {} s", (live.SILENT_SECONDS,)),
    ("docs/serving.md", "SIGTERM ends the service within {} s", (server.FORCED_SECONDS,)),
    ("docs/serving.md", "Of log lines of one kind, {} a minute are written", (logs.A_MINUTE,)),
    ("docs/serving.md", "The service looks every {} s (`--every`)", (server.parser().get_default("every"),)),
    ("docs/serving.md", "at most {} s", (LONGEST_WAIT,)),
    ("docs/serving.md", "client_max_body_size {}m;", (LIMITS.body / 1e6,)),
    ("docs/serving.md", "a file of more than {} MiB", (MAX_FILE_BYTES / 2**20,)),
    ("docs/serving.md", "a name of more than {} bytes", (events.MOST_NAME_BYTES - len(events.ANSWER),)),
    ("docs/serving.md", "it is tried again every {} s", (folder_watch.AGAIN_SECONDS,)),
)
"""Page, words with a `{}` for each number, and what the code says. The words stand once in the page, wrapped anyhow."""


def with_block(page: str, name: str, text: str) -> str:
    """Put a block between its two comments.

    Raises
    ------
    ValueError
        Where the page does not have both.
    """
    begin, end = f"<!-- {name}: made by {SCRIPT} -->\n", f"\n<!-- end of {name} -->"
    before, first, rest = page.partition(begin)
    _, last, after = rest.partition(end)
    if not (first and last):
        raise ValueError(f"the page has no {begin.strip()} with {end.strip()} after it")
    return f"{before}{begin}\n{text}\n{end}{after}"


def with_numbers(page: str, words: str, numbers: tuple[float, ...]) -> str:
    """Put numbers into a sentence.

    Raises
    ------
    ValueError
        Where the sentence does not stand in the page, or more than once.
    """
    parts = [re.escape(part).replace(r"\ ", r"\s+") for part in words.split("{}")]
    found = list(re.finditer(r"(\d[\d,]*(?:\.\d+)?)".join(f"({part})" for part in parts), page))
    if len(found) != 1:
        raise ValueError(f"{words!r} stands {len(found)} times in the page")
    pieces = list(found[0].groups())
    pieces[1::2] = [f"{int(number):,}" if number == int(number) else f"{number:,}" for number in numbers]
    return page[: found[0].start()] + "".join(pieces) + page[found[0].end() :]


def pages() -> dict[Path, tuple[str, str]]:
    """Return each page as it is and as it should be."""
    read = {
        name: (REPOSITORY / name).read_text(encoding="utf-8")
        for name in {*(page for page, _ in BLOCKS), *(page for page, *_ in NUMBERS), PROMISES_PAGE}
    }
    made = {**read, PROMISES_PAGE: promises.page_with(read[PROMISES_PAGE], promises.all_promises())}
    for (page, name), block in BLOCKS.items():
        made[page] = with_block(made[page], name, block())
    for page, words, numbers in NUMBERS:
        try:
            made[page] = with_numbers(made[page], words, numbers)
        except ValueError as error:
            raise ValueError(f"{page}: {error}; change it in {SCRIPT} too") from error
    return {REPOSITORY / name: (read[name], made[name]) for name in read}


def main() -> int:
    """Write the pages, or say which are old."""
    old = {path: made for path, (read, made) in pages().items() if read != made}
    if "--check" in sys.argv[1:]:
        print(*(path.relative_to(REPOSITORY) for path in old), sep="\n")
        return int(bool(old))
    for path, made in old.items():
        path.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
