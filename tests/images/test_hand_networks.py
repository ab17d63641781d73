import pickle
import sys
from pathlib import Path

import pytest

from aslspark.common.errors import AslsparkError
from aslspark.common.onnx_sessions import kept_session, open_session
from aslspark.common.settings import HandConfig
from aslspark.images.hands.detector import HandDetector, hand_detector
from aslspark.images.hands.networks import FOLDER_VARIABLE, HandNetworks, installed_networks, network_folders
from aslspark.images.hands.options import HandOptions


@pytest.fixture
def of_this_machine(monkeypatch, tmp_path):
    """The folders of an environment and of a user without networks."""
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return network_folders()


def put(folder, mark, notice=None):
    folder.mkdir(parents=True, exist_ok=True)
    networks = HandNetworks(b"palm of " + mark, b"landmarks of " + mark, notice or b"")
    for name, content in networks.files().items():
        if content:
            (folder / name).write_bytes(content)
    return networks


def test_the_environments_networks_come_first_then_the_users(of_this_machine, tmp_path):
    environment, user = of_this_machine
    assert environment == tmp_path / "env" / "share" / "aslspark" / "hand-models"
    assert user == tmp_path / "cache" / "aslspark" / "hand-models"
    fetched = put(user, b"user", b"MediaPipe's")
    assert installed_networks("test") == fetched
    environment.mkdir(parents=True)
    (environment / "palm.onnx").write_bytes(b"half of it")
    assert installed_networks("test") == fetched
    assert installed_networks("test") != (built := put(environment, b"environment"))
    assert installed_networks("test") == built


def test_the_users_cache_is_in_the_home_folder_where_nothing_else_is_said(of_this_machine, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert network_folders()[1] == Path.home() / ".cache" / "aslspark" / "hand-models"


def test_a_folder_that_is_named_is_the_only_one_looked_in(of_this_machine, monkeypatch, tmp_path):
    put(of_this_machine[0], b"environment")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "named"))
    with pytest.raises(AslsparkError) as caught:
        installed_networks("hands.on=true")
    assert str(caught.value) == (
        f"hands.on=true: the networks that find hands are not here ({tmp_path / 'named'}); "
        "run: aslspark fetch hand-models"
    )
    named = put(tmp_path / "named", b"named")
    assert installed_networks("hands.on=true") == named


def test_missing_networks_are_reported_with_the_setting_the_folders_and_the_mend(of_this_machine):
    environment, user = of_this_machine
    with pytest.raises(AslsparkError) as caught:
        hand_detector(HandConfig(on=True))
    assert str(caught.value) == (
        f"hands.on=true: the networks that find hands are not here ({environment} or {user}); "
        "run: aslspark fetch hand-models"
    )
    assert hand_detector(HandConfig(on=False)) is None


def test_a_detector_has_the_settings_and_is_shown_without_its_networks():
    detector = hand_detector(HandConfig(on=True, looks=2, confidence=0.4, upright=True))
    assert detector == HandDetector(HandOptions(looks=2, confidence=0.4, upright=True), installed_networks("test"))
    assert pickle.loads(pickle.dumps(detector)) == detector
    assert len(repr(detector)) < 500


def test_equal_bytes_have_one_session_in_a_process():
    palm = installed_networks("test").palm
    again = bytes(bytearray(palm))
    assert again is not palm
    session = kept_session(palm, 1)
    assert kept_session(again, 1) is session
    assert kept_session(palm, 2) is not session
    assert open_session(palm, 1) is not session
    assert session.get_session_options().intra_op_num_threads == 1
    assert kept_session(palm, 2).get_session_options().intra_op_num_threads == 2
