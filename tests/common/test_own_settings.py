"""Settings of Spark that a session of ours has where nobody has set them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from aslspark.common.spark_session import OWN_SETTINGS

LOOK = """
import json
from aslspark.common.spark_session import OWN_SETTINGS, spark_session

with spark_session("look") as spark:
    print(json.dumps({name: spark.conf.get(name) for name in OWN_SETTINGS}))
"""


def test_what_spark_submit_says_goes_before_our_own_settings(tmp_path):
    (tmp_path / "look.py").write_text(LOOK)
    theirs = {"spark.executorEnv.LC_ALL": "de_DE.UTF-8", "spark.ui.showConsoleProgress": "true"}
    words = [word for name, value in theirs.items() for word in ("--conf", f"{name}={value}")]
    submit = [str(Path(sys.executable).parent / "spark-submit"), "--master", "local[1]", *words]
    bare = {**os.environ, "SPARK_CONF_DIR": str(tmp_path)}  # without the repository's own
    done = subprocess.run([*submit, str(tmp_path / "look.py")], env=bare, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == {**OWN_SETTINGS, **theirs}


def test_python_that_starts_the_jvm_itself_has_no_bar_of_sparks_over_ours(tmp_path):
    (tmp_path / "look.py").write_text(LOOK)
    bare = {**os.environ, "SPARK_CONF_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "look.py")], env=bare, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == OWN_SETTINGS
