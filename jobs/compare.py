"""Put bundles side by side on the same data: how good, how large, how fast, and where they disagree.

spark-submit jobs/compare.py --model runs/keras runs/forest --data mine=letters.csv elsewhere=other.csv --out DIR
"""

from __future__ import annotations

from collections.abc import Sequence

from aslspark.cli.early_checks import require_bundles, require_new_out, require_packages, require_paths
from aslspark.cli.jobs_support import add_config_options, config_from, print_result, run_job
from aslspark.common.command_line import ArgumentParser
from aslspark.common.errors import AslsparkError


def main(argv: Sequence[str]) -> None:
    """Run the job with these arguments."""
    parser = ArgumentParser(description="Put bundles side by side on the same data.")
    parser.add_argument(
        "--model", required=True, nargs="+", metavar="[NAME=]BUNDLE", help="without a name: that of the folder"
    )
    parser.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar="[NAME=]PATH",
        help="sets: each a raw source or an ingested folder; raw sources of one name are one set",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make; must not exist")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of onnxruntime while timed (default 1)")
    add_config_options(parser)
    options = parser.parse_args(argv)
    config = config_from(options, {})
    models: dict[str, str] = {}
    for name, path in map(_named, options.model):
        if name in models:
            raise AslsparkError(f"--model {path}: there is a bundle {name} already; name them apart, as NAME={path}")
        models[name] = path
    sets: dict[str, list[str]] = {}
    for name, path in map(_named, options.data):
        sets.setdefault(name, []).append(path)
    require_packages(config)
    require_bundles("--model", list(models.values()))
    require_paths("--data", [path for paths in sets.values() for path in paths])
    require_new_out(options.out)
    from aslspark.common.spark_session import spark_session
    from aslspark.workflows.compare import compare

    with spark_session("aslspark compare") as spark:
        comparison = compare(spark, models, sets, options.out, threads=options.threads, config=config)
    print_result(options, comparison)


def _named(word: str) -> tuple[str, str]:
    name, equals, path = word.partition("=")
    if not equals or "/" in name:  # an = further on belongs to the path
        return word.rstrip("/").split("/")[-1], word
    return name, path


if __name__ == "__main__":
    run_job(main)
