import json
import subprocess
import sys

import pytest
from conftest import REPOSITORY

SOAK = REPOSITORY / "benchmarks" / "studies" / "soak.py"


@pytest.mark.long
@pytest.mark.promise(
    "service",
    "Beside thirty hostile clients at once good requests are answered, and nothing but 503 with Retry-After says no.",
    kind="a limit that holds alone and not together with others",
)
def test_good_clients_are_answered_beside_all_hostile_ones_at_once(tmp_path):
    pytest.importorskip("websockets")
    words = ["--minutes", "1", "--out", str(tmp_path / "soak")]
    subprocess.run([sys.executable, str(SOAK), *words], cwd=REPOSITORY, capture_output=True, check=False)
    found = json.loads((tmp_path / "soak" / "soak.json").read_text())
    assert found["statuses"].get("200", 0) > 0.9 * found["requests"] > 0
    assert set(found["statuses"]) <= {"200", "429", "503"}
    aims = found["aims"]
    assert aims["no 5xx but 503 with Retry-After"], found["hostile"]
    assert aims["the service is there at the end"]
    assert aims["it ends in time"]
    assert aims["log and /metrics stay small"]
    assert (tmp_path / "soak" / "soak.png").stat().st_size > 0
