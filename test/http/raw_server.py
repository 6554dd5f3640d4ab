"""
A server that does to HTTP what real servers do on bad days.

usage: raw_server.py [--tls DIR]

Listens on 127.0.0.1, on ports of its own choice (or from $CENSYNC_TEST_PORT upwards), and prints
them as "name=port" on one line: plain, other (a second origin), and with --tls also tls (right name),
wrongname, tlsother (another origin over TLS), nonotify (closes without TLS close_notify).  DIR
holds good.pem, wrong.pem (certificate and key).  Ends when its standard input is closed.
"""

import gzip
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse
from email.utils import formatdate

log = []
counts = {}
connections = 0
lock = threading.Lock()
ports = {}


class Connection:
    def __init__(self, sock, name):
        self.sock = sock
        self.name = name
        self.buffer = b""
        self.keep = True

    def read_request(self):
        while b"\r\n\r\n" not in self.buffer:
            data = self.sock.recv(65536)
            if data[:1] == b"\x16":
                self.send(b"what is this?")
                return None
            if not data:
                return None
            self.buffer += data
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        headers = {}
        for line in lines[1:]:
            key, value = line.split(":", 1)
            headers[key.lower()] = value.strip()
        size = int(headers.get("content-length", "0"))
        while len(self.buffer) < size:
            self.buffer += self.sock.recv(65536)
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return method, target, headers, body

    def send(self, data):
        self.sock.sendall(data)

    def answer(self, body=b"", status="200 OK", headers=(), length=True):
        if isinstance(body, str):
            body = body.encode()
        lines = ["HTTP/1.1 " + status] + list(headers)
        if length:
            lines.append("Content-Length: %d" % len(body))
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def reset(self):
        sock = self.sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.keep = False


def origin(name):
    scheme = "http" if name in ("plain", "other") else "https"
    return "%s://localhost:%d" % (scheme, ports[name])


def serve(c, method, path, query, headers, body):
    """One request; the path says what goes wrong."""
    step = counts.get(path + "?" + query, 0)
    counts[path + "?" + query] = step + 1

    if path == "/ok":
        c.answer("hello")
    elif path == "/log":
        with lock:
            text = json.dumps(log)
            log.clear()
            counts.clear()
        c.answer(text)
    elif path == "/connections":
        c.answer(str(connections))
    elif path == "/echo":
        c.answer(json.dumps({"method": method, "query": query, "headers": headers,
                             "body": body.decode("latin-1")}))
    elif path.startswith("/status/"):
        code = path.split("/")[2]
        c.answer(b"status %s says " % code.encode() + urllib.parse.unquote_to_bytes(query),
                 code + " Because")
    elif path == "/stall-head":
        time.sleep(30)
    elif path == "/stall-body":
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
        time.sleep(30)
    elif path == "/stall-error":
        c.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 1000\r\n\r\nbroken because")
        time.sleep(30)
    elif path == "/trickle":
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n")
        for _ in range(40):
            c.send(b"x")
            time.sleep(0.1)
    elif path == "/slow-trickle":
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n")
        for _ in range(40):
            c.send(b"x")
            time.sleep(1.3)
    elif path == "/cut":
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
        c.keep = False
    elif path == "/cut-head":
        c.send(b"HTTP/1.1 200 OK\r\nContent-Le")
        c.keep = False
    elif path == "/chunked":
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            c.chunk(b"hello ")
        c.send(b"0\r\nX-Trailer: 1\r\nX-Late: yes\r\n\r\n")
    elif path == "/chunked-cut":
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        c.chunk(b"hello ")
        c.keep = False
    elif path == "/chunked-bad":
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n")
        c.keep = False
    elif path == "/rst":
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
        time.sleep(0.2)
        c.reset()
    elif path == "/rst-head":
        c.reset()
    elif path == "/rst-once":
        if step == 0:
            c.reset()
        else:
            c.answer("second")
    elif path == "/close":
        c.answer("until the end", length=False)
        c.keep = False
    elif path == "/huge-length":
        c.answer("short", headers=["Content-Length: 99999999999999999999999"], length=False)
        c.keep = False
    elif path == "/short-length":
        c.answer("hello world", headers=["Content-Length: 5"], length=False)
        c.keep = False
    elif path == "/no-content":
        c.answer("", "204 No Content", length=False)
    elif path == "/early-hints":
        c.send(b"HTTP/1.1 103 Early Hints\r\nX-One: early\r\n\r\n")
        c.answer("late", headers=["X-Two: 2"])
    elif path == "/headers":
        c.answer("x", headers=["X-A:  first ", "x-a: second", "X-Folded: one", "\ttwo",
                               "Set-Cookie: a=b", "X-Empty:"])
    elif path == "/big-headers":
        c.answer("x", headers=["X-%d: %s" % (i, "y" * 1000) for i in range(400)])
    elif path == "/many-headers":
        c.answer("x", headers=["X-%d: y" % i for i in range(5000)])
    elif path == "/not-http":
        c.send(b"220 smtp.example.com ESMTP ready\r\n")
        c.keep = False
    elif path == "/silent-close":
        c.keep = False
    elif path.startswith("/redirect/"):
        code = path.split("/")[2]
        c.answer("moved", code + " Moved", ["Location: " + urllib.parse.unquote(query.split("&")[0])])
    elif path == "/redirect-nowhere":
        c.answer("moved", "302 Found")
    elif path == "/loop":
        c.answer("", "302 Found", ["Location: /loop"])
    elif path == "/hops":
        n = int(query)
        if n == 0:
            c.answer("arrived")
        else:
            c.answer("", "302 Found", ["Location: ?%d" % (n - 1)])
    elif path == "/busy-seconds":
        if step == 0:
            c.answer("wait", "429 Too Many Requests", ["Retry-After: 1"])
        else:
            c.answer("now")
    elif path == "/busy-date":
        if step == 0:
            when = formatdate(time.time() + 2, usegmt=True)
            c.answer("wait", "429 Too Many Requests", ["Retry-After: " + when])
        else:
            c.answer("now")
    elif path == "/busy-long":
        c.answer("wait", "429 Too Many Requests", ["Retry-After: 86400"])
    elif path == "/busy-always":
        c.answer("wait", "429 Too Many Requests", ["Retry-After: 0"])
    elif path == "/unavailable":
        if step == 0:
            c.answer("down", "503 Service Unavailable")
        else:
            c.answer("up")
    elif path == "/gzip":
        c.answer(gzip.compress(b"hello " * 1000), headers=["Content-Encoding: gzip"])
    elif path == "/gzip-members":
        c.answer(gzip.compress(b"hello ") + gzip.compress(b"world"),
                 headers=["Content-Encoding: gzip"])
    elif path == "/gzip-cut":
        c.answer(gzip.compress(os.urandom(10000))[:5000], headers=["Content-Encoding: gzip"])
    elif path == "/gzip-no-trailer":
        c.answer(gzip.compress(b"hello")[:-4], headers=["Content-Encoding: gzip"])
    elif path == "/gzip-garbage":
        c.answer(gzip.compress(b"hello") + b"garbage", headers=["Content-Encoding: gzip"])
    elif path == "/gzip-not":
        c.answer("plain text", headers=["Content-Encoding: gzip"])
    elif path == "/gzip-empty":
        c.answer("", headers=["Content-Encoding: gzip"])
    elif path == "/gzip-error":
        c.answer(gzip.compress(b"it broke"), "400 Bad", headers=["Content-Encoding: gzip"])
    elif path == "/deflate":
        import zlib
        c.answer(zlib.compress(b"deflated"), headers=["Content-Encoding: deflate"])
    elif path == "/brotli":
        c.answer("?????????", headers=["Content-Encoding: br"])
    elif path == "/bomb":
        member = gzip.compress(bytes(64 * 1024 * 1024))
        c.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
               % (len(member) * 32))
        for _ in range(32):
            c.send(member)
    elif path == "/big":
        block = bytes(1024 * 1024)
        size = int(query)
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (size * len(block)))
        for _ in range(size):
            c.send(block)
    elif path == "/lie":
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(64):
            c.chunk(bytes(1024 * 1024))
        c.send(b"0\r\n\r\n")
    elif path == "/token":
        serve_token(c, query, headers, body, step)
    elif path == "/guarded":
        if headers.get("authorization") == "Bearer token-number-%s" % (query or "1"):
            c.answer("let in")
        else:
            c.answer("no: " + headers.get("authorization", "nothing"), "401 Unauthorized")
    else:
        c.answer("what?", "404 Not Found")


def serve_token(c, query, headers, body, step):
    """The token endpoint of an OAuth server."""
    if query == "refuse":
        c.answer('{"error": "invalid_client", "error_description": "who is %s?"}'
                 % headers.get("authorization"), "400 Bad Request")
    elif query == "html":
        c.answer("<html>token-number-1</html>")
    elif query == "injection":
        c.answer('{"access_token": "a\\r\\nX-Evil: 1", "expires_in": 5}')
    elif query == "huge":
        c.answer('{"access_token": "' + "x" * 2000000 + '"}')
    else:
        expires = ', "expires_in": "%s"' % query if query else ""
        c.answer('{"access_token": "token-number-%d", "token_type": "Bearer"%s}'
                 % (step + 1, expires))


def handle(sock, name, context):
    global connections
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with lock:
            connections += 1
        if context is not None:
            sock = context.wrap_socket(sock, server_side=True)
        c = Connection(sock, name)
        while c.keep:
            request = c.read_request()
            if request is None:
                break
            method, target, headers, body = request
            path, _, query = target.partition("?")
            if path not in ("/log", "/connections"):
                with lock:
                    log.append({"origin": name, "method": method, "target": target,
                                "headers": headers, "body": body.decode("latin-1"),
                                "at": time.time()})
            serve(c, method, path, query, headers, body)
        if context is not None and name != "nonotify":
            sock.settimeout(2)
            sock.unwrap()
    except (OSError, ssl.SSLError):
        pass
    finally:
        try:
            sock.close()
        except OSError:
            pass


def listen(name, index, context=None):
    base = int(os.environ.get("CENSYNC_TEST_PORT", "0"))
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", base + index if base else 0))
    server.listen(64)
    ports[name] = server.getsockname()[1]

    def accept():
        while True:
            sock, _ = server.accept()
            threading.Thread(target=handle, args=(sock, name, context), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def tls_context(file):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def main():
    listen("plain", 0)
    listen("other", 1)
    if "--tls" in sys.argv:
        directory = sys.argv[sys.argv.index("--tls") + 1]
        good = tls_context(directory + "/good.pem")
        listen("tls", 2, good)
        listen("wrongname", 3, tls_context(directory + "/wrong.pem"))
        listen("tlsother", 4, good)
        listen("nonotify", 5, good)
    # A port where nothing listens, and one that never answers.
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    ports["closed"] = closed.getsockname()[1]
    mute = socket.socket()
    mute.bind(("127.0.0.1", 0))
    mute.listen(1)
    ports["mute"] = mute.getsockname()[1]
    print(" ".join("%s=%d" % item for item in ports.items()), flush=True)
    sys.stdin.read()


main()
