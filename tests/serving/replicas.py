"""Three servers on one store in Postgres, each a process of its own, behind the proxy of ``deploy/haproxy.cfg``."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from personaplug.cli.main import main
from personaplug.serving.api.keys import RIGHTS, KeyFile
from personaplug.store.copying import copy
from personaplug.store.persona_store import PersonaStore
from tests import processes

CONFIG = Path(__file__).parents[2] / "deploy" / "haproxy.cfg"


class Replicas:
    """Running servers and their one address.

    Args:
        urls: Of each server.
        running: Their processes.
        proxy: The address of all.
        headers: With a key.
    """

    def __init__(self, urls, running, proxy, headers):
        self.urls, self.running, self.proxy, self.headers = urls, running, proxy, headers

    def client(self, url=None):
        """Call the proxy, or one server."""
        return httpx2.Client(base_url=url or self.proxy, headers=self.headers, timeout=120)

    def kill(self, number):
        """Kill a server as abruptly as a power cut."""
        self.running[number].kill()


@contextmanager
def three_replicas(run, store, folder):
    """Start three servers and the proxy, which are gone in the end; skip the test where there is no proxy."""
    haproxy = found_haproxy()
    secret = KeyFile(folder / "keys.json").add("all", rights=RIGHTS)
    with served(run, store, folder, count=3) as (ports, running), proxied(haproxy, local(ports), folder) as port:
        replicas = Replicas(
            [f"http://{each}" for each in local(ports)],
            running,
            f"http://127.0.0.1:{port}",
            {"Authorization": f"Bearer {secret}"},
        )
        for url in (*replicas.urls, replicas.proxy):
            wait_until_ready(replicas, url, folder)
        yield replicas


def copied(path, postgres):
    """Copy a store into Postgres; give its address."""
    url = postgres.url()
    with PersonaStore.open(path) as source, PersonaStore.open(url, layout=source.layout) as target:
        copy(source, target)
    return url


def found_haproxy():
    """Give the proxy's program; skip the test where there is none."""
    haproxy = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
    if haproxy is None:
        pytest.skip("there is no haproxy on this machine: apt install haproxy")
    return haproxy


def local(ports):
    """Give addresses on this machine."""
    return [f"127.0.0.1:{port}" for port in ports]


@contextmanager
def served(run, store, folder, *, count):
    """Start servers with the keys of the folder."""
    ports, running = free_ports(count), []
    try:
        for port in ports:
            words = "serve", "--run", run, "--store", store, "--keys", folder / "keys.json", "--port", port
            words = [str(word) for word in (*words, "--requests-per-minute", 0)]
            running.append(processes.start(main, words, stderr=folder / "stderr"))
        yield ports, running
    finally:
        for process in running:
            process.kill()
            process.join()


@contextmanager
def proxied(haproxy, addresses, folder):
    """Put the proxy before servers."""
    (port,) = free_ports(1)
    own = {f"PERSONAPLUG_REPLICA_{at}": each for at, each in enumerate(addresses, 1)}
    own |= {"PERSONAPLUG_BIND": f"127.0.0.1:{port}"}
    with (folder / "haproxy").open("w") as said:
        process = subprocess.Popen([haproxy, "-db", "-f", CONFIG], env=os.environ | own, stdout=said, stderr=said)
        try:
            yield port
        finally:
            process.kill()
            process.wait()


def wait_until_ready(replicas, url, folder):
    """Wait until a server, or the proxy, accepts questions."""
    with replicas.client(url) as client:
        for _ in range(600):
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx2.ConnectError:
                pass
            time.sleep(0.1)
    raise AssertionError((folder / "stderr").read_text())


def free_ports(count):
    """Find ports that nobody has."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
