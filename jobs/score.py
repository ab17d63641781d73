"""Read the letters of pictures with a bundle.

spark-submit jobs/score.py --model BUNDLE --data PATH... --out DIR
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from aslspark.jobs_support import add_config_options, config_from, run_job


def main(argv: Sequence[str]) -> None:
    """Run the job on the command line's words."""
    parser = argparse.ArgumentParser(description="Read the letters of pictures with a bundle.")
    parser.add_argument("--model", required=True, metavar="BUNDLE")
    parser.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar="PATH",
        help="pixel tables with or without labels, pictures or folders of them, one Parquet table or ingested folder",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="Parquet to make; must not exist")
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help="least probability, 0-1, with which a letter is answered (default: the bundle's)",
    )
    add_config_options(parser)
    options = parser.parse_args(argv)
    config = config_from(options, {})
    from aslspark.scoring import SignClassifierModel, write_scores
    from aslspark.session import spark_session
    from aslspark.sources.pictures.options import manifest_roots
    from aslspark.sources.to_score import rows_to_score, with_reasons
    from aslspark.tracking import tracked

    about = {"model": options.model, "data": options.data, "threshold": options.threshold}
    with tracked(config, "score", **about), spark_session("aslspark score") as spark:
        model = SignClassifierModel.load(options.model)
        model.form = replace(model.form, max_pixels=config.pictures.max_pixels)
        if options.threshold is not None:
            model.setThreshold(options.threshold)
        roots = manifest_roots(spark, config.pictures.roots)
        rows, column = rows_to_score(spark, options.data, roots)
        write_scores(with_reasons(model.setInputCol(column).transform(rows).drop(column)), options.out)


if __name__ == "__main__":
    run_job(main)
