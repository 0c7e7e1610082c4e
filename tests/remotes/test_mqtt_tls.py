"""The way to a broker by TLS: whose certificate is believed, and what a station shows of itself."""

import pytest

from acquisition.errors import ConfigurationError
from acquisition.remotes.mqtt import Account
from tests.remotes.certificates import Authority
from tests.remotes.servers import Broker, until
from tests.remotes.test_mqtt import remote
from tests.store.records import Recording


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def broker(folder, authority, more="allow_anonymous true", alternative="IP:127.0.0.1"):
    certificate, key = authority.sign(f"broker{alternative[:3]}", alternative)
    return Broker(folder, f"cafile {authority.ca}\ncertfile {certificate}\nkeyfile {key}\n{more}")


def standing(folder, own, **more):
    """How a station that has such an account stands with the broker: word and reason."""
    account = Account("127.0.0.1", own.port, **more)
    with (
        Recording(folder) as writer,
        remote(own.port, writer, folder, account=account, durable=False) as running,
    ):
        until(lambda: running.standing.word != "starting", "an answer")
        return running.standing.word, running.standing.reason


def test_a_broker_with_a_certificate_of_the_named_authority_is_spoken_to(tmp_path, authority):
    with broker(tmp_path / "broker", authority) as own:
        assert standing(tmp_path / "record", own, ca_file=str(authority.ca)) == ("delivering", "")


def test_a_broker_of_an_unknown_authority_is_held_and_the_setting_named(tmp_path, authority):
    other = Authority(tmp_path / "other", "other")
    with broker(tmp_path / "broker", authority) as own:
        for ca_file in (str(other.ca), None):
            word, reason = standing(tmp_path / f"record{ca_file is None}", own, ca_file=ca_file)
            assert word == "held"
            assert "ca_file" in reason


def test_a_certificate_for_another_host_is_not_believed(tmp_path, authority):
    with broker(tmp_path / "broker", authority, alternative="DNS:elsewhere.example") as own:
        word, reason = standing(tmp_path / "record", own, ca_file=str(authority.ca))
        assert word == "held"
        assert "not trusted" in reason


def test_a_station_is_let_in_by_its_certificate(tmp_path, authority):
    certificate, key = map(str, authority.sign("bed1"))
    acl = tmp_path / "acl"
    acl.write_text("pattern write perfusion/v1/ward/%u/#\npattern read perfusion/v1/ward/%u/_request/+\n")
    acl.chmod(0o600)
    more = f"allow_anonymous false\nrequire_certificate true\nuse_identity_as_username true\nacl_file {acl}"
    with broker(tmp_path / "broker", authority, more) as own:
        ca_file = str(authority.ca)
        good = standing(tmp_path / "good", own, ca_file=ca_file, cert_file=certificate, key_file=key)
        assert good == ("delivering", "")
        stranger, its_key = map(str, authority.sign("bed2"))
        word, reason = standing(tmp_path / "bad", own, ca_file=ca_file, cert_file=stranger, key_file=its_key)
        assert (word, "access list" in reason) == ("held", True)


def test_no_tls_where_it_is_expected_is_held_and_told(tmp_path):
    with Broker(tmp_path / "broker") as own:
        word, reason = standing(tmp_path / "record", own)
        assert word in ("held", "unreachable")
        assert reason


@pytest.mark.parametrize("spoiled", ["ca_file", "cert_file", "key_file"])
def test_a_file_that_is_no_certificate_is_named(tmp_path, authority, spoiled):
    certificate, key = authority.sign("bed1")
    files = {"ca_file": str(authority.ca), "cert_file": str(certificate), "key_file": str(key)}
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    account = Account("127.0.0.1", 1, **{**files, spoiled: str(bad)})
    with pytest.raises(ConfigurationError) as told:
        account.check()
    assert str(bad) in told.value.where
