"""Real servers for the tests, from the system's packages: on free loopback ports, data in a temporary folder."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

PATIENCE = 60.0
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Whatever proxy the environment names: it does not lead to this machine."""
START = 60.0
"""Seconds that a server gets to come up on a busy machine."""


def binary(name):
    """Where a server's program is; without it the test is skipped, and fails where CI promises that nothing is."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        reason = f"{name} is not installed (tests/install_system_packages.sh installs it)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def free_port():
    """A loopback port that nobody has, and that no outgoing connection is given before it is bound, or bound again."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(lowest // 2, lowest)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def until(answers, what, patience=PATIENCE):
    """Wait until `answers()` is true."""
    deadline = time.monotonic() + patience
    while not answers():
        assert time.monotonic() < deadline, f"{what} did not happen within {patience} s"
        time.sleep(0.02)


def request(url, data=None, headers=None, timeout=10.0):
    """Status and body of one HTTP request; status 0 where nobody answers."""
    try:
        with DIRECT.open(urllib.request.Request(url, data, headers or {}), timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except (OSError, urllib.error.URLError):
        return 0, b""


class Process:
    """One server process, ended by its own id; it keeps its port over restarts."""

    def __init__(self, folder, name):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._name = name
        self._process = None
        self._was_up = False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Start it and wait until it answers; a port that somebody else was quicker to take is no failure."""
        deadline = time.monotonic() + START
        while not self._up(deadline):
            told = (self.folder / "log").read_text(errors="replace")[-2000:]
            taken = "in use" in told and time.monotonic() < deadline
            assert taken, f"{self._name} did not come up within {START:g} s; it said:\n{told}"
            self._renew_ports()
        self._was_up = True
        return self

    def _up(self, deadline):
        # A home of its own: the account's may not be writable, or hold settings.
        own = os.environ | {"HOME": str(self.folder), "TMPDIR": str(self.folder)}
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [binary(self._name), *self.arguments()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=own
            )
        while self._process.poll() is None and time.monotonic() < deadline:
            if self.answers():
                return True
            time.sleep(0.02)
        self.kill()
        return False

    def _renew_ports(self):
        """Take other ports, but on a restart wait for the old one: others know it."""
        if self._was_up:
            time.sleep(0.1)
        else:
            self.port = free_port()

    def kill(self):
        """End it at once."""
        self._end(signal.SIGKILL)

    def stop(self):
        """End it in order."""
        self._end(signal.SIGTERM)

    def _end(self, number):
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()


class InfluxServer(Process):
    """InfluxDB 1.6 as Debian has it: InfluxQL at `url`."""

    def __init__(self, folder):
        super().__init__(folder, "influxd")

    def arguments(self):
        data = self.folder / "data"
        path = self.folder / "influxdb.conf"
        path.write_text(
            f"""
            reporting-disabled = true
            bind-address = "127.0.0.1:{free_port()}"
            [meta]
            dir = "{data}/meta"
            [data]
            dir = "{data}/data"
            wal-dir = "{data}/wal"
            query-log-enabled = false
            max-series-per-database = 0
            [coordinator]
            write-timeout = "30s"
            [monitor]
            store-enabled = false
            [continuous_queries]
            enabled = false
            [http]
            bind-address = "127.0.0.1:{self.port}"
            max-body-size = 0
            log-enabled = false
            """
        )
        return ["run", "-config", str(path)]

    def answers(self):
        return request(f"{self.url}/ping", timeout=2.0)[0] == 204

    def ask(self, query, database=None, patience=PATIENCE):
        """Rows of one InfluxQL statement: a list of (measurement, tags, columns as a dict of lists)."""
        parameters = {"q": query, "epoch": "ns"} | ({"db": database} if database else {})
        # Statements that change something must be POSTed.
        status, body = request(f"{self.url}/query", urllib.parse.urlencode(parameters).encode(), timeout=patience)
        assert status == 200, body or f"no answer within {patience:g} s"
        (result,) = json.loads(body, parse_int=lambda text: -0.0 if text == "-0" else int(text))["results"]
        assert "error" not in result, result
        return [
            (s.get("name"), s.get("tags", {}), dict(zip(s["columns"], zip(*s["values"], strict=True), strict=True)))
            for s in result.get("series", [])
        ]

    def create(self, database):
        """A new, empty database."""
        self.ask(f'CREATE DATABASE "{database}"')

    def write(self, database, text):
        """Write line protocol past everything."""
        url = f"{self.url}/write?db={database}&precision=n"
        status, body = request(url, text.encode(), {"Content-Type": "text/plain"})
        assert status == 204, body


class InfluxGate(Process):
    """nginx before an InfluxDB 1.6, which then takes the `/api/v2/write` of its successors."""

    def __init__(self, folder, influx):
        super().__init__(folder, "nginx")
        self._behind = influx.url

    def arguments(self):
        path = self.folder / "nginx.conf"
        temporary = "\n".join(
            f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        path.write_text(
            f"""
            daemon off;
            master_process off;
            pid {self.folder}/pid;
            error_log {self.folder}/error.log;
            events {{ worker_connections 256; }}
            http {{
                access_log off;
                client_max_body_size 0;
                client_body_buffer_size 4m;
                {temporary}
                map $arg_precision $unit {{ default n; ns n; us u; ms ms; s s; }}
                server {{
                    listen 127.0.0.1:{self.port};
                    proxy_set_header Authorization "";
                    location = /health {{ return 200 '{{"name":"influxdb","status":"pass","version":"1.6.7"}}'; }}
                    location = /api/v2/write {{
                        proxy_pass {self._behind}/write?db=$arg_bucket&precision=$unit;
                    }}
                    location / {{ proxy_pass {self._behind}; }}
                }}
            }}
            """
        )
        return ["-c", str(path), "-p", str(self.folder), "-e", str(self.folder / "error.log")]

    def answers(self):
        return request(f"{self.url}/health", timeout=2.0)[0] == 200


class VictoriaServer(Process):
    """A single VictoriaMetrics: a stand-in for a cluster that takes the same line protocol, by milliseconds."""

    def __init__(self, folder):
        super().__init__(folder, "victoria-metrics")

    def arguments(self):
        return [
            f"-storageDataPath={self.folder / 'data'}",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=100y",
            "-dedup.minScrapeInterval=1ms",
            "-memory.allowedBytes=200MB",
        ]

    def answers(self):
        return request(f"{self.url}/health", timeout=2.0)[0] == 200

    def export(self, match):
        """Series that match, as (labels, values, milliseconds); flushed first, so that all that was taken is seen."""
        request(f"{self.url}/internal/force_flush")
        found = []
        status, body = request(f"{self.url}/api/v1/export?match[]={urllib.parse.quote(match)}")
        assert status == 200, body
        for line in body.decode().splitlines():
            row = json.loads(line)
            found.append((row["metric"], row["values"], row["timestamps"]))
        return found


class Broker(Process):
    """mosquitto; `more` are further lines of its configuration."""

    def __init__(self, folder, more="allow_anonymous true", persistent=True):
        super().__init__(folder, "mosquitto")
        self._more = more
        self._persistent = persistent

    def arguments(self):
        path = self.folder / "mosquitto.conf"
        keep = (
            f"persistence true\npersistence_location {self.folder}/\nautosave_on_changes true\nautosave_interval 1\n"
            if self._persistent
            else "persistence false\n"
        )
        user = "user root\n" if os.geteuid() == 0 else ""
        path.write_text(f"listener {self.port} 127.0.0.1\n{user}{keep}{self._more}\n")
        return ["-c", str(path)]

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
            return True
        return False
