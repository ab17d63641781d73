"""Importing TensorFlow without the lines that it writes as it starts."""

import subprocess
import sys

import pytest

CODE = """
import os, re, subprocess, sys
from aslspark.common.tensorflow_start import standard_error_without
os.write(2, b"before\\n")
with standard_error_without(re.compile(rb"noise")):
    os.write(2, b"some noise here\\nheard\\n")
    print("from Python", file=sys.stderr)
    print("noise from Python", file=sys.stderr)
    subprocess.run([sys.executable, "-c", "import os; os.write(2, b'of a child\\\\n')"])
    os.write(2, b"the end, without a new line")
os.write(2, b"\\nafter, with noise\\n")
"""


def standard_error_of(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr


def test_lines_that_are_not_wanted_are_left_out_and_all_others_pass_in_order():
    assert standard_error_of(CODE).splitlines() == [
        *("before", "heard", "from Python", "of a child", "the end, without a new line"),
        "after, with noise",
    ]


def test_an_error_within_leaves_standard_error_as_it_was():
    code = CODE.replace('os.write(2, b"some', '1 / 0; os.write(2, b"some')
    failed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert failed.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.slow
def test_tensorflow_starts_without_a_line():
    pytest.importorskip("tensorflow")
    import_it = "from aslspark.common.tensorflow_start import import_tensorflow; import_tensorflow()"
    assert standard_error_of(f"{import_it}; import sys; assert 'tensorflow' in sys.modules") == ""
