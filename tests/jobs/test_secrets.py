"""One secret goes into every job, in each way that a secret comes, and stands in nothing that the job leaves."""

import csv
import io
import json
import logging
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from conftest import REPOSITORY
from serving_bundles import network, picture_file, service, write_bundle

from aslspark.cli.jobs_support import run_job
from aslspark.common.errors import AslsparkError
from aslspark.common.redacted_files import write_settings
from aslspark.common.redaction import redact
from aslspark.common.settings import load_config
from aslspark.data.samples import read_samples
from aslspark.images.decoding import pixels_of
from aslspark.training.resume import RUN_FILE, unfinished_run
from jobs import (
    automl,
    compare,
    cross_validate,
    evaluate,
    ingest,
    monitor,
    retrain,
    score,
    score_stream,
    train_baseline,
    train_cnn,
    tune,
)

CANARY = "S3CR3Tcanary7"
QUICK = ["mllib.iterations=2", "split.kind=random", "training.epochs=1", "training.framework=torch"]


def shows(folder):
    """The files below a folder in whose bytes, or in whose rows, the secret stands."""
    found = []
    for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet" and path.name[0] not in "._":
            table = pq.ParquetFile(io.BytesIO(content)).read()
            content += str(table.drop([name for name in table.column_names if name == "picture"]).to_pydict()).encode()
        if CANARY.encode() in content:
            found.append(str(path.relative_to(folder)))
    return found


@pytest.fixture(scope="module")
def home(spark, few_letters, tmp_path_factory):
    """A folder whose name is a secret, with a table of hands, and a network that has learned nothing."""
    # When it is first imported, it closes what absl's log handler (TensorFlow's) writes to, unless that is sys.stderr
    # then. Imported where `capfd` stands in for sys.stderr, it would close what pytest itself writes to.
    pytest.importorskip("mlflow")
    folder = tmp_path_factory.mktemp("home") / f"token={CANARY}"
    folder.mkdir()
    with (folder / "letters.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["label", *(f"pixel{n}" for n in range(1, 785))])
        for row in read_samples(spark, few_letters).orderBy("id").collect():
            lines.writerow([ord(row["label"]) - ord("A"), *pixels_of(row["picture"]).ravel().tolist()])
    write_bundle(folder / "network", network(labels=tuple("ABCDE")))
    return folder


@pytest.fixture
def left(home, tmp_path, monkeypatch, capfd, caplog):
    """Run a job; then see that what it printed, logged and wrote shows no secret."""

    def run(job, *words, code=0):
        monkeypatch.setattr(sys, "argv", [job.__name__, *map(str, words)])
        try:
            run_job(job.main)
            ended = 0
        except SystemExit as ending:
            ended = ending.code
        said = "".join(capfd.readouterr()) + caplog.text
        assert ended == code, said
        assert [line for line in said.splitlines() if CANARY in line] == []
        assert shows(tmp_path) == []
        return said

    return run


@pytest.fixture(scope="module")
def classifier(spark, home, tmp_path_factory):
    """A bundle of Spark MLlib, under a name that is a secret."""
    path = tmp_path_factory.mktemp("classifier") / "bundle"
    words = ["--data", str(home / "letters.csv"), "--out", str(path), "--set", *QUICK]
    train_baseline.main(["--model", "logistic", *words])
    assert shows(path) == []
    (home / "champion").symlink_to(path)
    return home / "champion"


@pytest.mark.promise(
    "bundle",
    "A secret in a path, a setting or a word stands in no file, line or log that a job leaves.",
    kind="a file or a line is written without being masked",
)
@pytest.mark.long
def test_no_job_that_reads_a_model_shows_the_secret_in_its_paths(spark, home, classifier, tmp_path, left):
    table, out = home / "letters.csv", tmp_path
    mlflow = ["--set", "tracking.mlflow=true", f"tracking.uri={out / 'mlruns'}"]
    left(ingest, "--source", table, "--out", out / "ingested")
    assert "token=***" in (out / "ingested" / "ingest.json").read_text()
    model = ["--model", classifier]
    left(evaluate, *model, "--data", table, "--out", out / "evaluated", *mlflow)
    left(score, *model, "--data", table, "--out", out / "scored")
    left(compare, *model, "--data", f"mine={table}", "--out", out / "compared")
    left(monitor, *model, "--data", table, "--out", out / "drift")
    left(retrain, "--registry", out / "registry", "--begin", classifier, "--test", table, *mlflow)
    said = left(retrain, "--registry", out / "registry", "--data", table, code=2)
    assert "frozen-test" in said
    left(score, "--model", f"{home}/nothing", "--data", table, "--out", out / "none", code=2)
    left(score, "--password", CANARY, code=2)


@pytest.mark.long
@pytest.mark.promise(
    "bundle",
    "A secret in a path, a setting or a word stands in no file, line or log that a job leaves.",
    kind="a file or a line is written without being masked",
)
def test_no_job_that_fits_a_model_shows_the_secret_in_its_paths(spark, home, tmp_path, left):
    pytest.importorskip("optuna")
    data, out = ["--data", home / "letters.csv"], tmp_path
    logistic = ["--set", *QUICK, "mllib.classifier=logistic"]
    mlflow = ["tracking.mlflow=true", f"tracking.uri={out / 'mlruns'}"]
    left(train_cnn, *data, "--out", out / "network", "--num-proc", 1, "--set", *QUICK, *mlflow)
    left(cross_validate, *data, "--out", out / "folds", "--by", "block", "--folds", 2, *logistic, *mlflow)
    (home / "space.yaml").write_text("mllib.iterations: {low: 1, high: 2}\n")
    storage = ["--storage", f"sqlite:///{home}/study.db"]
    left(tune, *data, "--out", out / "search", "--space", home / "space.yaml", "--trials", 1, *storage, *logistic)
    left(automl, *data, "--out", out / "chosen", "--trials", 1, "--models", "logistic", "--set", *QUICK)


@pytest.mark.promise(
    "bundle",
    "The service and the stream of pictures show no secret of the paths that they were given.",
    kind="a child logger or a library's log is not masked",
)
def test_the_service_and_the_stream_show_no_secret(spark, home, tmp_path, left):
    served = tmp_path / "served"
    served.symlink_to(home / "network")
    with (tmp_path / "log").open("w") as log, service(served, log=log) as asked:
        served.unlink()
        served.symlink_to(home / "broken")
        (home / "broken").mkdir()
        (home / "broken" / "SHA256SUMS").write_text(CANARY)
        said = asked.ask("/v1/model"), asked.ask("/"), asked.ask("/nothing")
    served.unlink()
    assert CANARY not in str(said)
    assert CANARY not in (tmp_path / "log").read_text()
    pictures = home / "pictures"
    pictures.mkdir()
    (pictures / "one.jpg").write_bytes(picture_file())
    words = ["--folder", pictures, "--checkpoint", home / "checkpoint", "--once"]
    left(score_stream, "--model", home / "network", *words)
    (answer,) = pictures.glob("*.json")
    assert json.loads(answer.read_text())["picture"].endswith("/token=***")


def test_a_run_that_is_not_finished_keeps_no_secret_and_goes_on_with_a_new_one(tmp_path):
    def about(secret):
        uri = f"https://me:{secret}@host"
        return {"data": [f"s3a://K:{secret}@b/a.csv"], "test_data": [], "settings": {"tracking": {"uri": uri}}}

    def begin(secret, resume):
        with unfinished_run(tmp_path / "out", about(secret), resume) as folder:
            (folder / "checkpoints").mkdir(exist_ok=True)
            (folder / "checkpoints" / "epoch-0001.npz").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin(CANARY, resume=False)
    assert shows(tmp_path) == []
    assert (tmp_path / "out.unfinished" / RUN_FILE).exists()
    with pytest.raises(KeyboardInterrupt):
        begin("renewed", resume=True)


def test_settings_for_the_next_job_leave_out_what_they_may_not_show_and_can_be_used(tmp_path):
    config = load_config(None, [f"tracking.uri=https://me:{CANARY}@host", "training.epochs=7"])
    write_settings(tmp_path / "best.yaml", config.as_dict(), "The best.")
    text = (tmp_path / "best.yaml").read_text()
    assert shows(tmp_path) == []
    assert "# tracking.uri holds a secret and is left out" in text
    assert "uri" not in yaml.safe_load(text)["tracking"]
    again = load_config(str(tmp_path / "best.yaml"))
    assert (again.training.epochs, again.tracking.uri) == (7, "mlruns")


@pytest.mark.parametrize("name", ["aslspark", "aslspark.serving", "aslspark.training.any"])
def test_loggers_below_ours_are_masked_too(caplog, name):
    with caplog.at_level(logging.INFO):
        try:
            raise ValueError(f"Authorization: Bearer {CANARY}")
        except ValueError:
            logging.getLogger(name).exception("%s", f"https://hooks.slack.com/services/T/B/{CANARY}")
    assert "https://hooks.slack.com/services/***" in caplog.text
    assert CANARY not in caplog.text


class WritesTheExceptionItself(logging.Formatter):
    def format(self, record):
        return json.dumps({"msg": record.getMessage(), "exception": str(record.exc_info and record.exc_info[1])})


def test_a_formatter_that_writes_json_is_given_no_secret(caplog, monkeypatch):
    monkeypatch.setattr(caplog.handler, "formatter", WritesTheExceptionItself())
    try:
        raise ValueError(f"Authorization: Bearer {CANARY}")
    except ValueError:
        logging.getLogger("aslspark.any").exception("not read")
    assert "Authorization: ***" in caplog.text
    assert CANARY not in caplog.text


def test_a_warning_is_still_seen_where_nobody_has_set_up_logging():
    import subprocess

    program = f"""
import logging, aslspark
logging.getLogger("aslspark.any").warning("careful: token=%s", "{CANARY}")
logging.getLogger("aslspark.any").info("not seen")
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ran.stderr == "careful: token=***\n"


def test_what_a_job_prints_is_masked_whoever_prints_it(monkeypatch, capsys):
    def careless(words):
        print(f"password: {CANARY} {CANARY}")
        print(f"mysql+pymysql://u:{CANARY}@host", file=sys.stderr)
        logging.getLogger("some.library").error("AKIAIOSFODNN7EXAMPLE %s", "and more")
        raise AslsparkError(f"jdbc:oracle:thin:me/{CANARY}@host: no")

    monkeypatch.setattr(sys, "argv", ["careless"])
    with pytest.raises(SystemExit):
        run_job(careless)
    said = capsys.readouterr()
    assert CANARY not in said.out + said.err
    assert said.err.endswith("error: jdbc:oracle:thin:***@host: no\n")


@pytest.mark.parametrize(
    "text",
    [
        f"jdbc:oracle:thin:user/{CANARY}@//host:1521/x",
        f"spark-submit job.py --password {CANARY} --data x",
        f"spark-submit job.py --db-password={CANARY}",
        f"['--token', '{CANARY}']",
        f"https://a.blob.host/c/x?sv=2024-01-01&se=2026&sp=r&sig={CANARY}%3D",
        f"SharedAccessSignature sr=x&sig={CANARY}&se=1",
        f"https://hooks.slack.com/services/T000/B000/{CANARY}",
        f"https://x.webhook.office.com/webhookb2/{CANARY}@a/IncomingWebhook/{CANARY}/b",
        f"https://outlook.office.com/webhook/{CANARY}/IncomingWebhook",
        f"https://discord.com/api/webhooks/1234/{CANARY}",
        f"https://api.telegram.org/bot{CANARY}/sendMessage",
        f"aws_secret_access_key = {CANARY}",
        f"AWS_SECRET_ACCESS_KEY={CANARY}",
        f"curl -H 'Authorization: Bearer {CANARY}'",
        f"Bearer {CANARY}",
        f"a: 1\npassword: {CANARY} and {CANARY}\nb: 2",
        f"  - api-key:    {CANARY}",
        f'{{"client_secret": "a {CANARY}"}}',
        f'{{"body": "{{\\"token\\": \\"{CANARY}\\"}}"}}',
        f"mysql+pymysql://user:{CANARY}@host/db",
        f"postgresql://user:{CANARY}@host:5432/db?sslmode=require",
        f"Server=x;UID=me;PWD={CANARY};",
        f"mysql://host/db?user=me&pass={CANARY}",
    ],
)
def test_a_secret_of_any_known_form_is_masked(text):
    assert CANARY not in redact(text)
    assert redact(redact(text)) == redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "AKIAIOSFODNN7EXAMPLE,wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "ghp_" + "a1B2" * 9,
        "dapi" + "0123456789abcdef" * 2,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_a_key_is_known_by_how_it_begins(text):
    assert redact(f"it is {text}, he said") == "it is ***, he said"


@pytest.mark.parametrize(
    "text",
    [
        "first pass: 3 rows",
        "--seed 3 --out runs/mine",
        "bearer of news",
        "jdbc:oracle:thin:@//host:1521/x",
        "https://host/hands/webhook.csv",
        "author=me",
        "1 of 3: sigma=0.5",
    ],
)
def test_what_only_looks_like_a_secret_stays(text):
    assert redact(text) == text


def test_every_text_is_written_and_printed_where_it_is_masked():
    allowed = {"common/redacted_files.py", "registry/registry.py", "common/redaction.py", "bundle/files.py"}
    careless = []
    for path in sorted((REPOSITORY / "aslspark").rglob("*.py")):
        name = str(path.relative_to(REPOSITORY / "aslspark"))
        text = path.read_text()
        if name not in allowed and (".write_text(" in text or "json.dump(" in text or "safe_dump(" in text):
            careless.append(name)
        if not name.startswith("cli/") and name not in (*allowed, "cli/jobs_support.py"):
            careless += [name] * ("\n    print(" in text or " print(" in text)
    assert careless == []
