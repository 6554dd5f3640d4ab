"""What the tests of the fake HTTP server share."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from urllib.parse import urlencode

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

GOOD = [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}, {"id": 3, "name": "three"}]


class Fake:
    """A running server."""

    def __init__(self, directory, *arguments, spawn=subprocess.Popen):
        self.port_file = tempfile.mktemp(prefix="port", dir=directory)
        self.log_file = self.port_file + ".log"
        command = [sys.executable, "-B", os.path.join(HERE, "server.py"), "--root", directory,
                   "--port-file", self.port_file, "--log", self.log_file, *arguments]
        self.process = spawn(command)
        self.ports = wait_for_ports(self.port_file)
        self.port, self.control_port = self.ports[0], self.ports[-1]

    def control(self, method, path, body=None, **headers):
        return call(self.control_port, method, path, body, headers)

    def put(self, name, content, kind="application/json"):
        path = "/control/put?" + urlencode({"path": "/" + name, "content_type": kind})
        assert self.control("POST", path, content, **{"Content-Type": kind})[0] == 200

    def state(self):
        return json.loads(self.control("GET", "/control/state")[2])

    def log(self):
        with open(self.log_file, encoding="ascii") as file:
            return [json.loads(line) for line in file]


def wait_for_ports(file):
    for _ in range(500):
        if os.path.exists(file):
            with open(file, encoding="ascii") as lines:
                return [int(line) for line in lines]
        time.sleep(0.02)
    raise AssertionError("the server does not start")


def call(port, method, target, body=None, headers=()):
    """(status, headers, body) of a request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        body = body.encode() if isinstance(body, str) else body
        connection.request(method, target, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def raw(port, text, timeout=5):
    """Everything that comes back for these bytes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
        sock.sendall(text if isinstance(text, bytes) else text.encode("latin-1"))
        data = b""
        while piece := sock.recv(65536):
            data += piece
        return data


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.fake = Fake(cls.directory.name)
        cls.addClassCleanup(cls.directory.cleanup)
        cls.addClassCleanup(stop, cls.fake)

    def setUp(self):
        self.fake.control("POST", "/control/reset", b"")

    def tearDown(self):
        self.assertEqual(self.fake.state()["server_errors"], 0)

    def get(self, target, status=200, **headers):
        got, head, body = call(self.fake.port, "GET", target,
                               headers={k.replace("_", "-"): v for k, v in headers.items()})
        self.assertEqual(got, status, body[:300])
        return head, body

    def json(self, target, status=200, **headers):
        return json.loads(self.get(target, status, **headers)[1])

    def raw_get(self, target, **more):
        host = "127.0.0.1:%d" % self.fake.port
        return raw(self.fake.port, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
                   % (target, host), **more)


def stop(fake):
    fake.process.send_signal(signal.SIGTERM)
    fake.process.wait(5)
