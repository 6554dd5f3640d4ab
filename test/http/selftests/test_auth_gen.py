"""Credentials and generated rows."""

import base64
import csv
import http.client
import io
import json
import re
import socket
import sys
import time
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from fakehttp.auth import API_KEY, BEARER, CLIENT_ID, CLIENT_SECRET, PASSWORD, USER

from .harness import GOOD, Case, call


def basic(user, password):
    return "Basic " + base64.b64encode((user + ":" + password).encode()).decode()


class Credentials(Case):
    def test_basic(self):
        self.assertEqual(len(self.json("/auth/basic", Authorization=basic(USER, PASSWORD))), 2)
        for value in (basic(USER, "p"), basic("x", PASSWORD), "Basic !!!", "Basic", "Bearer x",
                      "Basic " + base64.b64encode(b"etl:p:\xe4\"\\x").decode()):
            head = self.get("/auth/basic", 401, Authorization=value)[0]
            self.assertIn('charset="UTF-8"', head["WWW-Authenticate"])
        self.assertIn("missing", self.json("/auth/basic", 401)["error"]["message"])

    def test_bearer(self):
        self.json("/auth/bearer", Authorization="Bearer " + BEARER)
        self.json("/auth/bearer", 401, Authorization="Bearer x")
        self.json("/auth/bearer", 401, Authorization=BEARER)
        self.json("/auth/bearer", 401)
        self.json("/auth/bearer?access_token=x", 401)
        self.json("/auth/bearer?x=1", 400, Authorization="Bearer " + BEARER)

    def test_api_keys(self):
        self.json("/auth/api_key_header", X_API_Key=API_KEY)
        self.json("/auth/api_key_header?header=X-Other", X_Other=API_KEY)
        self.json("/auth/api_key_header", 401)
        self.json("/auth/api_key_header", 403, X_API_Key="wrong")
        self.json("/auth/api_key_header", 400, X_API_Key=API_KEY, Authorization="Bearer x")
        self.json("/auth/api_key_query?api_key=" + quote(API_KEY, safe=""))
        self.json("/auth/api_key_query", 401)
        self.json("/auth/api_key_query?api_key=wrong", 403)
        self.json("/auth/api_key_query?api_key=k3y/+=", 403)
        self.json("/auth/api_key_query", 400, X_API_Key=API_KEY)

    def test_paths_behind(self):
        self.fake.put("s", json.dumps(GOOD))
        key = "api_key=" + quote(API_KEY, safe="")
        page = self.json("/auth/api_key_query/pages/next_url?set=s&" + key)
        parts = urlsplit(page["next"])
        self.assertNotIn("api_key", parts.query)
        self.json(parts.path + "?" + parts.query, 401)
        self.json(parts.path + "?" + parts.query + "&" + key)
        page = self.json("/auth/api_key_header/pages/next_url?set=s&header=X-K", X_K=API_KEY)
        parts = urlsplit(page["next"])
        self.json(parts.path + "?" + parts.query, X_K=API_KEY)
        self.json("/auth/basic/data/s", 401)

    def token(self, body, target="/oauth/token", kind="application/x-www-form-urlencoded",
              **headers):
        status, head, text = call(self.fake.port, "POST", target, body,
                                  {"Content-Type": kind, **headers})
        self.assertEqual(head["Cache-Control"], "no-store")
        return status, json.loads(text)

    def test_token_endpoint(self):
        form = {"grant_type": "client_credentials"}
        client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        header = {"Authorization": basic(quote_plus(CLIENT_ID), quote_plus(CLIENT_SECRET))}
        body = urlencode(form)
        self.assertEqual(self.token(body, **header)[0], 200)
        self.assertEqual(self.token(urlencode({**form, **client, "scope": "read"}))[0], 200)
        plain = {"Authorization": basic(CLIENT_ID, CLIENT_SECRET)}
        for error, got in (
                ("invalid_client", self.token(body)), ("invalid_client", self.token(body, **plain)),
                ("invalid_request", self.token(urlencode({**form, **client}), **header)),
                ("invalid_request", self.token(json.dumps(form), kind="application/json")),
                ("invalid_request", self.token("x=1&" + body, **header)),
                ("invalid_request", self.token(body + "&" + body, **header)),
                ("invalid_request", self.token("scope=read", **header)),
                ("invalid_scope", self.token(body + "&scope=write", **header)),
                ("unsupported_grant_type", self.token("grant_type=password", **header))):
            self.assertEqual(got[1]["error"], error)
            self.assertEqual(got[0], 401 if error == "invalid_client" else 400)
        self.get("/oauth/token", 405)

    def test_tokens(self):
        body = urlencode({"grant_type": "client_credentials", "client_id": CLIENT_ID,
                          "client_secret": CLIENT_SECRET})

        def new(options=""):
            answer = self.token(body, "/oauth/token" + options)[1]
            return answer, {"Authorization": "Bearer " + answer["access_token"]}
        answer, use = new("?uses=2")
        self.assertEqual((answer["token_type"], answer["expires_in"]), ("Bearer", 3600))
        self.json("/auth/oauth", **use)
        self.json("/auth/oauth", **use)
        head = self.get("/auth/oauth", 401, **use)[0]
        self.assertIn('error="invalid_token"', head["WWW-Authenticate"])
        answer, use = new("?expires_in=1&expires_form=string")
        self.assertEqual(answer["expires_in"], "1")
        self.json("/auth/oauth", **use)
        time.sleep(1.1)
        self.json("/auth/oauth", 401, **use)
        answer, use = new("?expires_form=missing")
        self.assertNotIn("expires_in", answer)
        self.json("/auth/oauth", **use)
        self.fake.control("POST", "/control/revoke", b"")
        self.json("/auth/oauth", 401, **use)

    def test_echo(self):
        value = basic(USER, PASSWORD)
        error = self.json("/auth/echo", 403, Authorization=value)
        self.assertIn(value, error["error"]["message"])
        self.assertEqual(error["decoded"], USER + ":" + PASSWORD)
        text = self.get("/auth/echo?type=text&status=500&pad=400&api_key=" + quote(API_KEY), 500,
                        X_Key="geheim")[1].decode()
        self.assertEqual(text[:400], "." * 400)
        self.assertIn("x-key: geheim\n", text)
        self.assertIn("query: " + API_KEY + "\n", text)


class Generated(Case):
    def rows(self, form, rows, seed=1):
        head, body = self.get("/gen/%s?rows=%d&seed=%d" % (form, rows, seed))
        self.assertEqual(head["Transfer-Encoding"], "chunked")
        text = body.decode()
        if form == "json":
            return json.loads(text, parse_float=str, parse_int=str)
        if form == "ndjson":
            return [json.loads(line, parse_float=str, parse_int=str) for line in text.splitlines()]
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def test_formats_agree(self):
        for rows in (0, 1, 2, 999, 1000, 1001, 2500):
            document = self.rows("json", rows)
            self.assertEqual(len(document), rows)
            self.assertEqual(self.rows("ndjson", rows), document)
            text = [{name: {None: "", True: "true", False: "false"}.get(value, value)
                     for name, value in row.items()} for row in document]
            self.assertEqual(self.rows("csv", rows), text)
        self.assertEqual(len({row["id"] for row in document}), 2500)
        self.assertEqual(len({row["big"] for row in document}), 2500)
        row = document[2345]
        self.assertEqual((row["id"], row["name"]), ("1000002345", "Customer 1000002345"))
        self.assertTrue(2**53 < int(row["big"]) < 2**63)
        self.assertRegex(row["updated_at"],
                         r"\A20\d\d-\d\d-\d\dT[0-9:]{8}\.\d{6}(Z|[+-]\d\d:\d\d)")
        digits = {len(re.sub("[^0-9]", "", row["amount"])) for row in document}
        self.assertEqual((min(digits), max(digits)), (2, 20))

    def test_deterministic(self):
        default = self.get("/gen/json?rows=1500")[1]
        self.assertEqual(default, self.get("/gen/json?rows=1500&seed=1")[1])
        one, two = self.rows("json", 1500), self.rows("json", 1500, 2)
        self.assertEqual([row["id"] for row in one], [row["id"] for row in two])
        self.assertNotEqual(one, two)

    def test_cut(self):
        with self.assertRaises(http.client.IncompleteRead):
            self.get("/gen/json?rows=5000&cut_at=600000")

    def test_fast_and_flat(self):
        with socket.create_connection(("127.0.0.1", self.fake.port), timeout=20) as sock:
            sock.sendall(("GET /gen/ndjson?rows=800000 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                          "Connection: close\r\n\r\n" % self.fake.port).encode())
            begin, size, buffer = time.monotonic(), 0, bytearray(2**20)
            while got := sock.recv_into(buffer):
                size += got
        rate = size / (time.monotonic() - begin) / 1e6
        with open("/proc/%d/status" % self.fake.process.pid, encoding="ascii") as file:
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1])
        print("generated %d MB at %d MB/s, peak of the server %d MB"
              % (size // 10**6, rate, peak // 1024), file=sys.stderr)
        self.assertGreater(size, 150e6)
        self.assertLess(peak, 200 * 1024)
