"""Keys and passwords: wherever a path or a setting is printed, logged or written, they are not in it."""

import json
import logging
import subprocess
import sys

import pytest
from bad_input import bad_manifests, good_pictures
from conftest import REPOSITORY

from aslspark.bundle.write import write_model
from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import redact, redact_all
from aslspark.common.settings import PictureConfig
from aslspark.data.discover_sources import short_names
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import picture_options
from aslspark.data.tables.pixel_layout import COLUMNS
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel

SECRET = "S3CR3T"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("s3a://AKIAKEY:S3CR3T@bucket/a.csv", "s3a://***@bucket/a.csv"),
        ("s3a://AKIAKEY:S3/CR3T@bucket/a.csv", "s3a://***@bucket/a.csv"),
        ("https://user:S3CR3T@host:8443/a.zip", "https://***@host:8443/a.zip"),
        ("https://user:S3@CR3T@host/a.zip", "https://***@host/a.zip"),
        ("https://S3CR3T@host/a.git", "https://***@host/a.git"),
        ("https://host/a.csv?sig=S3CR3T%3D&se=2030", "https://host/a.csv?sig=***&se=2030"),
        ("https://host/a?x=1&access_token=S3CR3T", "https://host/a?x=1&access_token=***"),
        (
            "https://b.s3.host/a?X-Amz-Credential=S3CR3T&X-Amz-Date=1",
            "https://b.s3.host/a?X-Amz-Credential=***&X-Amz-Date=1",
        ),
        ("https://a.blob.host/c/x?sv=2024&sp=r&sig=S3CR3T", "https://a.blob.host/c/x?sv=2024&sp=r&sig=***"),
        ("jdbc:postgresql://host/db?user=me&password=S3CR3T", "jdbc:postgresql://host/db?user=me&password=***"),
        ("jdbc:sqlserver://host;user=me;password=S3CR3T;x=1", "jdbc:sqlserver://host;user=me;password=***;x=1"),
        ("AccountName=me;AccountKey=S3CR3T==;Suffix=x", "AccountName=me;AccountKey=***;Suffix=x"),
        ("fs.s3a.secret.key=S3CR3T", "fs.s3a.secret.key=***"),
        ("fs.azure.account.key.me.blob.host=S3CR3T", "fs.azure.account.key.me.blob.host=***"),
        ("Authorization: Bearer S3CR3T", "Authorization: ***"),
        ('{"client_secret": "S3CR3T"}', '{"client_secret": "***"}'),
        ("network.weights=https://host/w.pth?token=S3CR3T: no", "network.weights=https://host/w.pth?token=*** no"),
    ],
)
def test_a_secret_is_masked_and_the_rest_stays(text, masked):
    assert redact(text) == masked
    assert redact(masked) == masked


NAMES = (
    *("password", "passwd", "passphrase", "secret", "token", "signature", "credential", "credentials", "authorization"),
    *("access_key", "accessKeyId", "AccountKey", "api-key", "apikey", "private.key", "secretKey", "shared_key"),
    *("subscription-key", "encryptionKey", "signing_key", "master-key", "storageKey", "SharedAccessSignature"),
    *("clientSecretValue", "client_secret", "db_password", "X-Amz-Security-Token", "X-Amz-Signature", "GITHUB_TOKEN"),
    *("sig", "sas", "pwd", "X-sig", "my_sas", "db.pwd", "fs.azure.account.key.me.blob.host"),
)
"""Written out, not taken from the list that is tested."""


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_a_secret_is_known_as_parameter_setting_and_option_in_any_case(name):
    for spelled in (name, name.upper(), name.lower()):
        assert redact(f"https://host/a?x=1&{spelled}=S3CR3T&y=2") == f"https://host/a?x=1&{spelled}=***&y=2"
        assert redact(f"{spelled}: S3CR3T") == f"{spelled}: ***"
        assert redact(f'{{"{spelled}": "S3CR3T", "y": 2}}') == f'{{"{spelled}": "***", "y": 2}}'
        assert redact(f"job.py --{spelled} S3CR3T --y 2") == f"job.py --{spelled} *** --y 2"
        assert redact_all({spelled: SECRET, "y": [SECRET]}) == {spelled: "***", "y": [SECRET]}
        assert redact_all(["job.py", f"--{spelled}", SECRET, "y"]) == ["job.py", f"--{spelled}", "***", "y"]


@pytest.mark.parametrize(
    "key",
    [
        *(f"{start}IOSFODNN7EXAMPLE" for start in ("AKIA", "ASIA", "AROA", "AIDA")),
        *(f"{start}_" + "a1B2" * 9 for start in ("gho", "ghp", "ghs", "ghu", "ghr", "github_pat", "hf")),
        *(f"xox{kind}-1234567890-abcdef" for kind in "abeoprs"),
        *("dapi" + "0123456789abcdef" * 2 + end for end in ("", "-2")),
        *("AIza" + "aB3_-" * 7, "sk-" + "aB3_-" * 8),
    ],
)
def test_every_form_of_a_key_is_known_by_its_beginning_and_length(key):
    assert redact(f"it is {key}.") == "it is ***."
    assert redact(key[:8]) == key[:8]
    assert redact(f"no{key}") == f"no{key}"  # in the midst of a word it is none


@pytest.mark.parametrize("store", ["wasb", "wasbs", "abfs", "abfss"])
def test_a_container_before_the_host_is_no_secret_and_what_follows_its_colon_is(store):
    assert redact(f"{store}://hands@account.host/a.csv") == f"{store}://hands@account.host/a.csv"
    assert redact(f"{store}://hands:S3CR3T@account.host/a.csv") == f"{store}://***@account.host/a.csv"


@pytest.mark.parametrize(
    "fixed",
    [
        *("https://hooks.slack.com/services/", "https://hooks.host.org/workflows/"),
        *(f"https://host.org/{name}/" for name in ("webhook", "webhooks", "webhookb2", "hooks", "api/v1/hooks")),
        *("http://host.org/api/webhooks/", "https://api.telegram.org/bot"),
    ],
)
def test_of_an_address_of_a_webhook_all_that_follows_its_beginning_is_masked(fixed):
    assert redact(f"posted to {fixed}T00/S3CR3T?x=1 twice") == f"posted to {fixed}*** twice"


def test_a_token_after_bearer_is_masked_and_prose_is_not():
    for word in ("Bearer", "bearer"):
        assert redact(f"sent {word} S3CR3T.abc-d_e/f+g~h= again") == f"sent {word} *** again"
    assert redact("a bearer of goodness") == "a bearer of goodness"


@pytest.mark.parametrize("name", ["pass", "auth", "http_auth", "db-pass"])
def test_words_of_prose_are_secrets_as_parameters_and_options_alone(name):
    assert redact(f"a?{name}=S3CR3T") == f"a?{name}=***"
    assert redact(f"job.py --{name} S3CR3T") == f"job.py --{name} ***"
    assert redact(f"first {name}: 3 rows") == f"first {name}: 3 rows"


@pytest.mark.parametrize(
    "name", ["design", "misig", "passage", "tokens", "secrets", "author", "atlas", "keyword", "key"]
)
def test_names_that_only_look_like_one_of_a_secret_stay(name):
    for text in (f"a?{name}=S3CR3T", f"{name}: S3CR3T", f"job.py --{name} S3CR3T"):
        assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "/data/hands/A/1.jpg",
        "file:/data/a@b.csv",
        "abfss://container@account.dfs.host/a.csv",
        "http://host:8080/a@b",
        "label is 'A'",
        r"pictures.signer_pattern=hand(\d)_",
        "augment.design=2: tokens=7",
        "me@host.org: 12 pictures",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text):
    assert redact(text) == text


@pytest.mark.long
@pytest.mark.slow
def test_texts_of_any_kind_are_masked_once_and_in_one_go():
    for _, data in bad_manifests(300, 9):
        text = data.decode("utf-8", "replace")
        assert redact(redact(text)) == redact(text)
    # Where a part is read again for each letter before it, this takes hours.
    for part in ("a", "://", "://a:", "password", "token-", "a=", "x_", ": ", "@"):
        redact(part * 100_000)
        redact("s3a://" + part * 100_000)


def test_settings_are_masked_by_their_names_and_by_what_they_hold():
    settings = {"tracking": {"token": SECRET, "uri": f"https://me:{SECRET}@host"}, "paths": [f"s3a://k:{SECRET}@b/"]}
    assert redact_all({**settings, "seed": 3, "password": ""}) == {
        "tracking": {"token": "***", "uri": "https://***@host"},
        "paths": ["s3a://***@b/"],
        "seed": 3,
        "password": "",
    }


def test_errors_and_logs_show_no_secret(caplog):
    path = f"s3a://KEY:{SECRET}@bucket/a.csv"
    with pytest.raises(AslsparkError, match=r"s3a://\*\*\*@bucket/a\.csv does not exist"):
        raise AslsparkError(f"{path} does not exist")
    with caplog.at_level(logging.INFO, "aslspark"):
        try:
            raise ValueError(path)
        except ValueError:
            logging.getLogger("aslspark").exception("%s: cannot be read", path)
    assert "s3a://***@bucket/a.csv: cannot be read" in caplog.text
    assert "ValueError: s3a://***@bucket" in caplog.text
    assert SECRET not in caplog.text


def test_a_job_that_fails_in_a_way_nobody_foresaw_shows_no_secret():
    program = f"""
import sys
from aslspark.cli.jobs_support import run_job
def main(words):
    raise OSError("https://me:{SECRET}@host/a.zip?sig={SECRET}")
run_job(main)
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "OSError: https://***@host/a.zip?sig=***" in ran.stderr
    # The traceback quotes no line of a program given as words.
    assert SECRET not in ran.stdout + ran.stderr


def test_sources_are_named_without_their_keys_and_told_apart():
    paths = [redact(f"s3a://{key}:{SECRET}@bucket/a.csv") for key in ("ONE", "TWO")]
    assert short_names([*paths, "file:/a.csv"]) == [
        "s3a://***@bucket/a.csv (1)",
        "s3a://***@bucket/a.csv (2)",
        "file:/a.csv",
    ]


def test_an_ingest_leaves_no_secret_in_what_it_writes_and_prints(spark, tmp_path):
    pictures = list(good_pictures().values())
    rows = [(f"https://me:{SECRET}@host/A/{n}.jpg?sig={SECRET}", bytearray(d)) for n, d in enumerate(pictures)]
    rows += [
        (f"s3a://KEY:{SECRET}@bucket/A/bad.jpg", bytearray(b"no picture")),
        (f"s3a://K:{SECRET}@b/x.jpg", bytearray()),
    ]
    table = spark.createDataFrame(rows, "path string, content binary")
    folder = tmp_path / f"password={SECRET}"  # a path that is really there
    folder.mkdir()
    (folder / "letters.csv").write_text(",".join(COLUMNS) + "\n" + ",".join(["3"] + ["7"] * 784) + "\n1,2\n")
    (folder / "notes.txt").write_text("")
    small = picture_options(spark, PictureConfig(size=16))
    report = ingest_sources(spark, [table, str(folder)], str(tmp_path / "out"), pictures=small)
    assert report.read == report.kept + report.quarantined == len(rows) + 2
    written = [spark.read.parquet(f"{tmp_path}/out/{part}").drop("picture") for part in ("samples", "quarantine")]
    said = [str(row) for part in written for row in part.collect()] + [str(report)]
    said += [path.read_text() for path in (tmp_path / "out").glob("*.json")]
    assert [line for line in said if SECRET in line] == []
    assert any("https://***@host/A/0.jpg?sig=***" in line for line in said)
    assert any("s3a://***@bucket/A/bad.jpg" in line for line in said)
    assert "/password=***" in str(report)


def test_a_bundle_keeps_no_secret_of_its_settings(spark, tmp_path):
    model = SignClassifierModel(OnnxClassifier(b"", ("A",), (28, 28, 1)))
    weights = f"https://me:{SECRET}@host/w.pth"
    write_model(model, None, tmp_path, settings={"network": {"weights": weights}, "tracking": {"token": SECRET}})
    text = (tmp_path / "bundle.json").read_text()
    assert SECRET not in text
    assert json.loads(text)["settings"] == {
        "network": {"weights": "https://***@host/w.pth"},
        "tracking": {"token": "***"},
    }
