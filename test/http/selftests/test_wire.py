"""Strictness, content and delivery, lifecycle."""

import gzip
import http.client
import json
import os
import ssl
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from .harness import GOOD, Case, Fake, call, raw, stop


class Strictness(Case):
    def status(self, text):
        answer = raw(self.fake.port, text.replace("HOST", "127.0.0.1:%d" % self.fake.port))
        self.assertRegex(answer, rb"\AHTTP/1.1 [0-9]{3} [A-Za-z -]+\r\n")
        return int(answer[9:12])

    def test_bad_syntax(self):
        host = "Host: HOST\r\n"
        for text, status in (
                ("GET /data/x\r\n\r\n", 400), ("GET  /data/x HTTP/1.1\r\n\r\n", 400),
                ("G(T /data/x HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET /data/x HTTP/1.0\r\n" + host + "\r\n", 505),
                ("GET /data/x HTTP/1.1\r\n\r\n", 400),
                ("GET /data/x HTTP/1.1\r\n" + host + host + "\r\n", 400),
                ("GET /data/x HTTP/1.1\n" + host + "\r\n", 400),
                ("GET /data/x HTTP/1.1\r\nHost: example.com\r\n\r\n", 421),
                ("GET /data/x HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n", 421),
                ("GET /data/x HTTP/1.1\r\n" + host + "A : b\r\n\r\n", 400),
                ("GET /data/x HTTP/1.1\r\n" + host + "A: b\r\n c\r\n\r\n", 400),
                ("GET /data/x HTTP/1.1\r\n" + host + "A: \x01\r\n\r\n", 400),
                ("GET /data/x HTTP/1.1\r\n" + host + "A: \xe4\r\n\r\n", 400),
                ("GET http://HOST/data/x HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET /data/a|b HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET /data/%2 HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET /data/%ff HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET /data//x HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET /data/../x HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET /data/x#f HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET /data/x?a=1&&b=1 HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET /data/x?id=1&id=1 HTTP/1.1\r\n" + host + "\r\n", 400),
                ("GET /" + "x" * 20000 + " HTTP/1.1\r\n" + host + "\r\n", 414),
                ("GET / HTTP/1.1\r\n" + host + "A: b\r\n" * 200 + "\r\n", 431),
                ("GET /data/x HTTP/1.1\r\n" + host + "Content-Length: 1\r\n\r\na", 400),
                ("POST /data/x HTTP/1.1\r\n" + host + "\r\n", 411),
                ("POST /data/x HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400),
                ("POST /data/x HTTP/1.1\r\n" + host + "Content-Length: 9999999999\r\n\r\n", 413),
                ("POST /data/x HTTP/1.1\r\n" + host
                 + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400)):
            self.assertEqual(self.status(text), status, text[:60])

    def test_methods_paths_and_parameters(self):
        self.fake.put("x", "[]")
        for target, status in (("/", 404), ("/nothing", 404), ("/files/", 404), ("/data/x/y", 404),
                               ("/data/x?nothing=1", 400), ("/data/x?delay=x", 400),
                               ("/data/x?gzip=2", 400), ("/data/y", 404), ("/bad/nothing", 404),
                               ("/pages/nothing", 404), ("/gen/xml", 404), ("/auth/x", 404),
                               ("/files/..%2fx", 400), ("/gen/json?rows=-1", 400),
                               ("/pages/page?set=x&per_page=0", 400)):
            error = self.json(target, status)
            self.assertIn("message", error["error"], target)
        status, headers, _ = call(self.fake.port, "DELETE", "/data/x")
        self.assertEqual((status, headers["Allow"]), (405, "GET"))
        kind = {"Content-Type": "application/json"}
        self.assertEqual(call(self.fake.port, "POST", "/data/x", "{}")[0], 415)
        self.assertEqual(call(self.fake.port, "POST", "/data/x", "{}", kind)[0], 405)

    def test_chunked_request_and_continue(self):
        head = ("POST /control/put?path=x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n"
                "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n" % self.fake.port)
        answer = raw(self.fake.port, head + "Expect: 100-continue\r\n\r\n2\r\n[1\r\n1\r\n]\r\n"
                     "0\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"))
        self.assertEqual(self.get("/data/x")[1], b"[1]")
        self.assertIn(b" 400 ", raw(self.fake.port, head + "\r\nxy\r\n")[:20])

    def test_binds_loopback_only(self):
        with open("/proc/net/tcp", encoding="ascii") as file:
            local = [line.split()[1] for line in file if line.split()[3] == "0A"]
        self.assertIn("0100007F:%04X" % self.fake.port, local)
        self.assertNotIn("00000000:%04X" % self.fake.port, local)


class Content(Case):
    def test_files(self):
        content = json.dumps({"3166-1": [{"alpha_2": "DE"}]}).encode()
        for name, kind in (("iso.json", "application/json"), ("a.csv", "text/csv"),
                           ("a.ndjson", "application/x-ndjson"), ("a.json.gz", "application/gzip"),
                           ("a.html", "text/html"), ("a.bin", "application/octet-stream")):
            with open(os.path.join(self.directory.name, name), "wb") as file:
                file.write(content)
            head, body = self.get("/files/" + name)
            self.assertEqual((body, head["Content-Type"]), (content, kind))
            self.assertEqual(head["Content-Length"], str(len(content)))
        self.get("/files/none.json", 404)

    def test_data_changes_and_is_forgotten(self):
        self.fake.put("x", "a,b\n1,2\n", "text/csv; charset=utf-8")
        head, body = self.get("/data/x")
        self.assertEqual((head["Content-Type"], body), ("text/csv; charset=utf-8", b"a,b\n1,2\n"))
        self.fake.put("x", "[]")
        self.assertEqual(self.get("/data/x?type=a/b")[0]["Content-Type"], "a/b")
        self.assertEqual(self.json("/data/x"), [])
        self.fake.control("POST", "/control/reset", b"")
        self.get("/data/x", 404)

    def test_framing(self):
        text = json.dumps(GOOD) * 100
        self.fake.put("x", text)
        for options in ("", "chunked=1", "gzip=force", "gzip=force&chunked=1", "close=1",
                        "close=1&gzip=force", "close=silent", "trickle=40000",
                        "trickle=40000&chunked=1"):
            head, body = self.get("/data/x?" + options if options else "/data/x")
            if "gzip" in options:
                self.assertEqual(head["Content-Encoding"], "gzip")
                body = gzip.decompress(body)
            self.assertEqual(body.decode(), text, options)
            self.assertEqual("Content-Length" in head,
                             "chunked" not in options and "close" not in options)
            self.assertEqual(head["Transfer-Encoding"],
                             "chunked" if "chunked" in options else None)
        self.assertNotIn("Content-Encoding", self.get("/data/x?gzip=1")[0])
        head = self.get("/data/x?gzip=1", Accept_Encoding="deflate, gzip")[0]
        self.assertEqual(head["Content-Encoding"], "gzip")

    def test_delay_and_trickle(self):
        self.fake.put("x", "[" + " " * 998 + "]")
        for options, low in (("delay=0.5", 0.5), ("trickle=2000", 0.4)):
            begin = time.monotonic()
            self.get("/data/x?" + options)
            self.assertTrue(low <= time.monotonic() - begin < low + 2)

    def test_post_for_read(self):
        self.fake.put("x", "[]")
        target, kind = "/data/x?method=POST", {"Content-Type": "application/json"}
        self.assertEqual(call(self.fake.port, "POST", target, '{"q": 1}', kind)[0], 200)
        self.assertEqual(call(self.fake.port, "POST", target, "{", kind)[0], 400)
        self.assertEqual(call(self.fake.port, "POST", target, "{}",
                              {"Content-Type": "text/plain"})[0], 415)
        self.get(target, 405)

    def test_keep_alive_and_log(self):
        self.fake.put("x", "[]")
        connection = http.client.HTTPConnection("127.0.0.1", self.fake.port, timeout=5)
        for i in range(3):
            connection.request("GET", "/data/x?id=%d" % i, headers={"Authorization": "Basic eA=="})
            connection.getresponse().read()
        connection.close()
        call(self.fake.port, "POST", "/data/y?z=%C3%A4", "hällo", {"Content-Type": "text/plain"})
        log = self.fake.log()
        self.assertEqual(len({line["connection"] for line in log[:3]}), 1)
        self.assertEqual([line["query"] for line in log[:3]], [{"id": str(i)} for i in range(3)])
        self.assertEqual(log[0]["headers"]["authorization"], "Basic eA==")
        self.assertEqual([line["status"] for line in log], [200, 200, 200, 405])
        self.assertEqual((log[3]["method"], log[3]["path"], log[3]["query"], log[3]["body_length"],
                          log[3]["body"], log[3]["tls"]),
                         ("POST", "/data/y", {"z": "ä"}, 6, "hällo", False))
        self.assertEqual(self.fake.state()["requests"], 4)

    def test_concurrent(self):
        self.fake.put("x", "[]")
        threads = [threading.Thread(target=self.get, args=("/data/x?delay=0.5",)) for _ in range(8)]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertLess(time.monotonic() - begin, 2)

    def test_hold(self):
        self.fake.put("x", "[]")
        done = threading.Event()
        threading.Thread(target=lambda: (self.get("/data/x?hold=g"), done.set())).start()
        while self.fake.state()["waiting"] != {"g": 1}:
            time.sleep(0.02)
        self.assertEqual(len(self.fake.log()), 1)   # the request is logged when it arrives
        self.assertFalse(done.wait(0.2))
        self.fake.control("POST", "/control/release?gate=g", b"")
        self.assertTrue(done.wait(5))


class Lifecycle(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def test_sigterm_with_a_request_in_flight(self):
        fake = Fake(self.directory.name)
        with socket.create_connection(("127.0.0.1", fake.port)) as sock:
            sock.sendall(b"GET /bad/stall HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % fake.port)
            self.assertTrue(sock.recv(10))
            fake.process.terminate()
            self.assertEqual(fake.process.wait(2), 0)

    def test_ends_with_its_parent(self):
        pids = os.path.join(self.directory.name, "pid")
        script = ("import os, subprocess, sys, time\n"
                  "p = subprocess.Popen(sys.argv[2:] + ['--parent-pid', str(os.getpid())])\n"
                  "open(sys.argv[1], 'w').write(str(p.pid))\ntime.sleep(60)\n")
        parent = []
        Fake(self.directory.name, spawn=lambda command: parent.append(
            subprocess.Popen([sys.executable, "-c", script, pids, *command])))
        with open(pids, encoding="ascii") as file:
            pid = int(file.read())
        parent[0].kill()                # not waited for: a zombie is a dead parent too
        end = time.monotonic() + 5
        while time.monotonic() < end and not gone(pid):
            time.sleep(0.05)
        self.assertTrue(gone(pid))
        parent[0].wait()

    def test_tls(self):
        cert, key = (os.path.join(self.directory.name, name) for name in ("cert.pem", "key.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj",
                        "/CN=fake", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                        "-days", "2", "-keyout", key, "-out", cert], check=True,
                       stderr=subprocess.DEVNULL)
        fake = Fake(self.directory.name, "--tls-cert", cert, "--tls-key", key)
        self.addCleanup(stop, fake)
        self.assertNotEqual(fake.port, fake.control_port)
        fake.put("x", json.dumps(GOOD))
        self.assertEqual(call(fake.control_port, "GET", "/data/x")[0], 404)
        context = ssl.create_default_context(cafile=cert)
        for target, silent in (("/data/x", 0), ("/data/x?close=1", 0), ("/data/x?close=silent", 1),
                               ("/bad/cut", 1), ("/bad/rst", 1)):
            got = self.talk(fake, context, target)
            self.assertEqual(isinstance(got, OSError), bool(silent), target)
        line = fake.log()[1]
        self.assertTrue(line["tls"])
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.talk(fake, ssl.create_default_context(), "/data/x")
        self.assertEqual(fake.state()["server_errors"], 0)

    def talk(self, fake, context, target):
        """The answer; or the error that shows that TLS ended without a close_notify."""
        # Python is lenient here unless told otherwise.
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        with socket.create_connection(("127.0.0.1", fake.port), timeout=5) as plain:
            with context.wrap_socket(plain, server_hostname="localhost",
                                     suppress_ragged_eofs=False) as sock:
                sock.sendall(b"GET %s HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\n\r\n"
                             % (target.encode(), fake.port))
                data = b""
                try:
                    while piece := sock.recv(65536):
                        data += piece
                except OSError as error:
                    return error
                return data


def gone(pid):
    """Whether a process has ended, even if nobody has collected it yet."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
