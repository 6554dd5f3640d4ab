"""Mishaps."""

import gzip
import http.client
import json
import socket
import time
from urllib.parse import quote, urljoin

from .harness import GOOD, Case, call


class Mishaps(Case):
    def test_statuses(self):
        for status in (400, 401, 403, 404, 410, 429, 499, 500, 502, 503, 504):
            error = self.json("/bad/%d" % status, status)
            self.assertIn(str(status), error["error"]["message"])
        self.assertIn("Bearer", self.get("/bad/401", 401)[0]["WWW-Authenticate"])
        head, body = self.get("/bad/404?html=1", 404)
        self.assertEqual((head["Content-Type"], body[:5]), ("text/html; charset=utf-8", b"<!DOC"))
        self.assertEqual(self.get("/bad/429?retry_after=7", 429)[0]["Retry-After"], "7")
        for form, pattern in (("", r"\w{3}, \d\d \w{3} \d{4} [0-9:]{8} GMT"),
                              (".rfc850", r"\w+day, \d\d-\w{3}-\d\d [0-9:]{8} GMT"),
                              (".asctime", r"\w{3} \w{3} [ 123]\d [0-9:]{8} \d{4}")):
            head = self.get("/bad/503?retry_date=5" + form, 503)[0]
            self.assertRegex(head["Retry-After"], r"\A%s\Z" % pattern)

    def test_times_and_set(self):
        for _ in range(2):
            self.get("/bad/429?times=2&retry_after=0", 429)
        self.assertEqual(self.json("/bad/429?times=2&retry_after=0"), GOOD)
        self.get("/bad/429?times=2&retry_after=0&id=other", 429)
        self.fake.put("x", '[{"id": 9}]')
        self.get("/bad/500?times=1&set=x", 500)
        self.assertEqual(self.json("/bad/500?times=1&set=x"), [{"id": 9}])
        self.get("/bad/html?times=x", 400)

    def test_documents(self):
        body = {name: self.get("/bad/" + name)[1] for name in
                ("html_as_json", "invalid_utf8", "nul", "nul_byte", "surrogate", "not_object",
                 "missing_key", "duplicate_key", "big_number", "nan", "bom", "trailing",
                 "single_quotes", "empty", "deep", "deep_record", "truncated")}
        self.assertEqual(self.get("/bad/html")[0]["Content-Type"], "text/html; charset=utf-8")
        self.assertEqual(self.get("/bad/html_as_json")[0]["Content-Type"], "application/json")
        for name in ("html_as_json", "invalid_utf8", "nul_byte", "trailing", "truncated",
                     "single_quotes", "empty"):
            self.assertRaises(ValueError, json.loads, body[name])
        self.assertEqual(json.loads(body["nul"])[1]["name"], "a\0b")
        self.assertEqual(json.loads(body["surrogate"])[1]["name"], "a\ud800b")
        self.assertEqual([type(r).__name__ for r in json.loads(body["not_object"])],
                         ["dict", "int", "str", "list", "NoneType", "dict"])
        self.assertEqual([r.get("id", "-") for r in json.loads(body["missing_key"])],
                         [1, "-", None, 4])
        self.assertGreater(json.loads(body["big_number"])[1]["id"], 2**64)
        self.assertEqual(json.loads(body["bom"][3:]), GOOD)
        self.assertEqual((body["empty"], body["deep"].count(b"[")), (b"", 10000))
        self.assertEqual(len(self.get("/bad/truncated?at=7")[1]), 7)
        self.assertEqual(call(self.fake.port, "GET", "/bad/no_content")[0], 204)

    def test_broken_connections(self):
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.get("/bad/cut?at=10")
        self.assertEqual(len(caught.exception.partial), 10)
        for kind, error in (("cut", http.client.IncompleteRead), ("rst", ConnectionResetError),
                            ("no_answer", http.client.RemoteDisconnected),
                            ("no_http", http.client.BadStatusLine),
                            ("bad_chunk", http.client.IncompleteRead),
                            ("stall?seconds=0.3", http.client.IncompleteRead)):
            with self.assertRaises(error, msg=kind):
                self.get("/bad/" + kind)
        self.assertRaises(ValueError, json.loads, self.get("/bad/short_length")[1])
        self.assertRegex(self.raw_get("/bad/short_length"), rb'"three"}\]\n\Z')
        self.assertIn(b"\r\nxyz\r\n", self.raw_get("/bad/bad_chunk"))
        log = self.fake.log()
        self.assertEqual([line["status"] for line in log if line["path"] == "/bad/no_http"], [0])
        with self.assertRaises(http.client.IncompleteRead):
            self.get("/bad/cut?times=1")
        self.assertEqual(self.json("/bad/cut?times=1"), GOOD)

    def test_slow_and_large_heads(self):
        begin = time.monotonic()
        self.assertEqual(json.loads(self.raw_get("/bad/slow_headers?seconds=1")
                                    .split(b"\r\n\r\n")[1]), GOOD)
        self.assertGreater(time.monotonic() - begin, 0.9)
        self.assertGreater(len(self.raw_get("/bad/huge_headers?kb=200")), 200000)

    def test_redirects(self):
        for status in (301, 302, 303, 307, 308):
            to = quote("http://localhost:1/x?a=b", safe="")
            head = self.get("/bad/redirect?status=%d&to=%s" % (status, to), status)[0]
            self.assertEqual(head["Location"], "http://localhost:1/x?a=b")
        self.assertEqual(self.get("/bad/redirect_loop", 302)[0]["Location"], "/bad/redirect_loop")
        target, hops = "/bad/redirect_chain?hops=3", 0
        while (answer := call(self.fake.port, "GET", target))[0] == 302:
            target, hops = urljoin(target, answer[1]["Location"]), hops + 1
        self.assertEqual((hops, json.loads(answer[2])), (3, GOOD))

    def test_too_much(self):
        records = self.json("/bad/huge?mb=3")
        self.assertGreater(sum(len(r["name"]) for r in records), 2.5 * 2**20)
        self.assertGreater(len(self.json("/bad/huge?mb=3&one=1")[0]["name"]), 2.9 * 2**20)
        packed = self.get("/bad/gzip_bomb?mb=20")[1]
        self.assertLess(len(packed), 200000)
        self.assertGreater(len(json.loads(gzip.decompress(packed))), 19000)
        self.assertRaises(EOFError, gzip.decompress, self.get("/bad/gzip_truncated")[1])
        self.assertRaises(OSError, gzip.decompress, self.get("/bad/gzip_garbage")[1])
        self.fake.put("x", "id\n1\n", "text/csv")
        head, body = self.get("/bad/gzip_truncated?set=x&at=20")
        self.assertEqual((head["Content-Type"], len(body)), ("text/csv", 20))

    def test_leaving_is_noticed(self):
        for target in ("/bad/endless", "/bad/stall", "/bad/slow_headers", "/data/x?delay=60",
                       "/data/x?hold=g"):
            self.fake.put("x", "[]")
            with socket.create_connection(("127.0.0.1", self.fake.port), timeout=5) as sock:
                sock.sendall(("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n"
                              % (target, self.fake.port)).encode())
                if target.startswith("/bad"):
                    self.assertTrue(sock.recv(10))
                else:
                    time.sleep(0.2)
                self.assertEqual(self.fake.state()["busy"], 1)
            end = time.monotonic() + 3
            while self.fake.state()["busy"] and time.monotonic() < end:
                time.sleep(0.02)
            self.assertEqual(self.fake.state()["busy"], 0, target)
