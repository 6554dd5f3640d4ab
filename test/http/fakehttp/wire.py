"""HTTP/1.1 on a socket: reading requests strictly, sending answers exactly as told.

The standard library's server is lenient and tidy; a test needs one that is neither, so requests
and answers are handled here byte by byte.
"""

import json
import re
import select
import socket
import socketserver
import ssl
import struct
import threading
import time
import zlib
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

MAX_LINE = 16 * 1024
MAX_HEADERS = 100
MAX_BODY = 64 * 1024 * 1024
IDLE_TIMEOUT = 300
PIECE = 256 * 1024

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
FIELD_VALUE = re.compile(r"[\t\x20-\x7e]*")
TARGET = re.compile(r"(/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)"
                    r"(?:\?((?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*))?")
ONCE = {"host", "authorization", "content-length", "content-type", "transfer-encoding",
        "user-agent", "x-api-key"}

# Query parameters that say how an answer is delivered; understood wherever one has a body.
DELIVERY = {"type", "gzip", "chunked", "close", "delay", "trickle", "hold"}


class Refused(Exception):
    """A request is answered with an error: status and a JSON body."""

    def __init__(self, status, message, headers=(), close=False, code=None):
        super().__init__(message)
        self.status, self.message, self.close = status, message, close
        self.headers, self.code = list(headers), code or phrase(status).lower().replace(" ", "_")


class ClientGone(Exception):
    """The client closed the connection, or this end has just cut it."""


class Response:
    """An answer.  body: bytes, or an iterable of bytes (then chunked unless told otherwise)."""

    def __init__(self, body=b"", status=200, type="application/json", headers=()):
        self.status, self.type, self.headers, self.body = status, type, list(headers), body
        self.framing = "length" if isinstance(body, bytes) else "chunked"
        self.close = False      # end the connection afterwards
        self.notify = True      # TLS: say goodbye when doing so
        self.gzip = None        # None, "1" (if the client accepts it), "force"
        self.delay = 0.0        # seconds before the head
        self.trickle = 0        # bytes of body per second, 0: as fast as it goes
        self.hold = None        # wait for POST /control/release?gate=...
        self.cut = None         # send so many bytes of the body ("half" of it), then cut


class Script:
    """An answer that is no proper HTTP: run(connection) writes the bytes, then it is closed."""

    def __init__(self, run, status=200):
        self.run, self.status = run, status


def json_response(value, status=200, headers=()):
    return Response(json.dumps(value, ensure_ascii=False).encode() + b"\n", status, headers=headers)


def error_response(refused):
    body = {"error": {"code": refused.code, "message": refused.message}, "request_id": "r1"}
    answer = json_response(body, refused.status, refused.headers)
    answer.close = refused.close
    return answer


class Request:
    """One request.  query maps names to decoded values; headers has lower-case names."""

    def __init__(self):
        self.method = self.target = self.path = ""
        self.query, self.headers, self.body = {}, {}, b""
        self.origin = ""        # scheme://host:port as the client sees it
        self.state = None       # the server's State
        self.sticky = {}        # parameters seen to already, for URLs made from this request

    def only(self, *names):
        """Refuses parameters that the path does not know."""
        unknown = set(self.query).difference(*[{n} if isinstance(n, str) else n for n in names])
        if unknown:
            raise Refused(400, "unexpected parameter: " + ", ".join(sorted(unknown)))

    def need(self, *methods):
        if self.method not in methods:
            raise Refused(405, "method %s is not allowed here" % self.method,
                          [("Allow", ", ".join(methods))])

    def text(self, name, default=None, choices=None):
        value = self.query.get(name, default)
        if choices is not None and value not in choices and name in self.query:
            raise Refused(400, "bad value of parameter " + name)
        return value

    def number(self, name, default=None, low=0, high=10**12):
        if name not in self.query:
            return default
        if not re.fullmatch(r"[0-9]{1,13}", self.query[name]):
            raise Refused(400, "parameter %s is not a number" % name)
        value = int(self.query[name])
        if not low <= value <= high:
            raise Refused(400, "parameter %s is out of range" % name)
        return value

    def seconds(self, name, default=0.0):
        if name not in self.query:
            return default
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", self.query[name]):
            raise Refused(400, "parameter %s is not a number of seconds" % name)
        return float(self.query[name])

    def deliver(self, answer):
        """Applies the DELIVERY parameters to an answer."""
        answer.type = self.text("type", answer.type)
        if not FIELD_VALUE.fullmatch(answer.type):
            raise Refused(400, "bad value of parameter type")
        answer.gzip = self.text("gzip", None, ("1", "force"))
        if self.text("chunked", None, ("1",)):
            answer.framing = "chunked"
        closing = self.text("close", None, ("1", "silent"))
        if closing:
            answer.framing, answer.close, answer.notify = "close", True, closing == "1"
        answer.delay = self.seconds("delay")
        answer.trickle = self.number("trickle", 0, 1)
        answer.hold = self.text("hold", answer.hold)
        return answer


def parse_query(text):
    query = {}
    for piece in text.split("&") if text else ():
        name, _, value = piece.partition("=")
        # As form decoders do, so that a client that leaves a plus sign unencoded is found out.
        name, value = (decode(part.replace("+", " ")) for part in (name, value))
        if name == "ranges":            # the one that a real service takes repeatedly
            query.setdefault(name, []).append(value)
            continue
        if not name or name in query:
            raise Refused(400, "empty or repeated query parameter", close=True)
        query[name] = value
    return query


def decode(text):
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400, "percent-encoding is not UTF-8", close=True) from None


class Connection(socketserver.BaseRequestHandler):
    """One client connection, in a thread of its own."""

    def handle(self):
        self.state, self.sock, self.input = self.server.state, self.request, None
        self.number = self.state.accept()
        try:
            self.sock.settimeout(IDLE_TIMEOUT)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.server.tls:
                self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)
            self.input = self.sock.makefile("rb")
            while self.exchange():
                pass
        except (ClientGone, OSError):
            pass
        finally:
            if self.input:
                self.input.close()
            self.sock.close()

    def exchange(self):
        """Reads a request and answers it; returns whether the connection goes on."""
        request = Request()
        try:
            if not self.read_request(request):
                return False
        except Refused as refused:
            return self.answer(request, error_response(refused))
        try:
            answer = self.server.route(request)
        except Refused as refused:
            answer = error_response(refused)
        except OSError as error:
            # Not of this connection, whose troubles are part of a test.
            raise RuntimeError("an answer could not be made") from error
        return self.answer(request, answer)

    def answer(self, request, answer):
        with self.state.busy_with(self, request, answer.status):
            if isinstance(answer, Script):
                answer.run(self)
                return False
            return self.send(request, answer)

    # -- reading

    def read_line(self, what, status):
        line = self.input.readline(MAX_LINE + 1)
        if not line:
            raise ClientGone
        if len(line) > MAX_LINE:
            raise Refused(status, what + " is too long", close=True)
        if not line.endswith(b"\r\n"):
            raise Refused(400, what + " does not end with CR LF", close=True)
        return line[:-2].decode("latin-1")

    def read_request(self, request):
        try:
            line = self.read_line("request line", 414)
        except ClientGone:
            return False
        parts = line.split(" ")
        if len(parts) != 3 or not TOKEN.fullmatch(parts[0]):
            raise Refused(400, "bad request line", close=True)
        request.method, request.target, version = parts
        request.state = self.state
        if version != "HTTP/1.1":
            raise Refused(505, "HTTP/1.1 is spoken here", close=True)
        self.read_headers(request)
        self.check_target(request)
        self.check_host(request)
        self.read_body(request)
        return True

    def read_headers(self, request):
        for _ in range(MAX_HEADERS):
            line = self.read_line("header", 431)
            if not line:
                return
            name, colon, value = line.partition(":")
            if not colon or not TOKEN.fullmatch(name) or not FIELD_VALUE.fullmatch(value):
                raise Refused(400, "bad header", close=True)
            name, value = name.lower(), value.strip(" \t")
            if name in request.headers:
                if name in ONCE:
                    raise Refused(400, "repeated header " + name, close=True)
                value = request.headers[name] + ", " + value
            request.headers[name] = value
        raise Refused(431, "too many headers", close=True)

    def check_target(self, request):
        match = TARGET.fullmatch(request.target)
        if not match:
            raise Refused(400, "bad request target", close=True)
        request.path = decode(match[1])
        if "//" in request.path or {".", ".."} & set(request.path.split("/")):
            raise Refused(400, "empty or dot segment in path", close=True)
        request.query = parse_query(match[2])

    def check_host(self, request):
        host = request.headers.get("host")
        if host is None:
            raise Refused(400, "no Host header", close=True)
        name, _, port = host.rpartition(":")
        known = name in self.server.names or name.endswith(".localhost")
        if not known or port != str(self.server.server_address[1]):
            raise Refused(421, "host %s is not served here" % host, close=True)
        request.origin = ("https://" if self.server.tls else "http://") + host

    def read_body(self, request):
        headers = request.headers
        length, coding = headers.get("content-length"), headers.get("transfer-encoding")
        if length is None and coding is None:
            if request.method in ("POST", "PUT", "PATCH"):
                raise Refused(411, "a body needs a Content-Length", close=True)
            return
        if length is not None and coding is not None:
            raise Refused(400, "both Content-Length and Transfer-Encoding", close=True)
        if headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = self.read_chunks() if coding else self.read_length(length)
        if request.method not in ("POST", "PUT", "PATCH") and request.body:
            raise Refused(400, "a body is not expected with " + request.method, close=True)
        if coding is not None and coding.lower() != "chunked":
            raise Refused(501, "unknown transfer coding", close=True)
        if request.body and "content-type" not in headers:
            raise Refused(415, "a body needs a Content-Type")

    def read_length(self, text):
        if not re.fullmatch("[0-9]{1,18}", text):
            raise Refused(400, "bad Content-Length", close=True)
        return self.read_exactly(int(text))

    def read_exactly(self, size):
        if size > MAX_BODY:
            raise Refused(413, "body is too large", close=True)
        data = self.input.read(size)
        if len(data) < size:
            raise ClientGone
        return data

    def read_chunks(self):
        body = b""
        while True:
            line = self.read_line("chunk size", 400)
            if not re.fullmatch("[0-9A-Fa-f]{1,8}", line):
                raise Refused(400, "bad chunk size", close=True)
            size = int(line, 16)
            body += self.read_exactly(size)
            if self.read_line("chunk", 400):
                raise Refused(400, "bad end of chunk", close=True)
            if size == 0:
                return body
            if len(body) > MAX_BODY:
                raise Refused(413, "body is too large", close=True)

    # -- writing

    def write(self, data):
        try:
            self.sock.sendall(data)
        except (OSError, ValueError):
            raise ClientGone from None

    def pause(self, seconds):
        """Waits; notices when the client leaves meanwhile."""
        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLRDHUP)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                raise ClientGone

    def cut(self, reset=False):
        """Ends the connection without any goodbye; reset: by RST instead of FIN."""
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.sock.shutdown(socket.SHUT_WR)
            self.drain()
        self.input.close()
        self.sock.close()
        raise ClientGone

    def drain(self):
        # Closing with unread input would turn the orderly FIN into an RST.
        if not isinstance(self.sock, ssl.SSLSocket):
            self.sock.settimeout(0.05)
            try:
                while self.sock.recv(PIECE):
                    pass
            except OSError:
                pass

    def head(self, status, headers, close=False):
        lines = ["HTTP/1.1 %d %s" % (status, phrase(status)),
                 "Date: " + formatdate(usegmt=True), "Server: fake/1"]
        lines += ["%s: %s" % header for header in headers]
        if close:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def send(self, request, answer):
        if answer.hold is not None:
            self.state.wait_gate(self, answer.hold)
        self.pause(answer.delay)
        headers, body = list(answer.headers), answer.body
        if answer.type and answer.status != 204:
            headers.append(("Content-Type", answer.type))
        if self.wants_gzip(request, answer):
            headers.append(("Content-Encoding", "gzip"))
            body = compress(body)
        if answer.framing == "chunked":
            headers.append(("Transfer-Encoding", "chunked"))
        elif answer.framing == "length" and answer.status != 204:
            body = body if isinstance(body, bytes) else b"".join(body)
            headers.append(("Content-Length", str(len(body))))
        if answer.cut == "half":
            answer.cut = len(body) // 2
        close = answer.close or "close" in request.headers.get("connection", "").lower()
        self.write(self.head(answer.status, headers, close))
        self.send_body(answer, body)
        if close:
            self.goodbye(answer.notify)
        return not close

    def wants_gzip(self, request, answer):
        if answer.gzip is None:
            return False
        if answer.gzip == "1" and "gzip" not in request.headers.get("accept-encoding", ""):
            return False
        return True

    def send_body(self, answer, body):
        chunked, sent = answer.framing == "chunked", 0
        for piece in paced(self, body, answer.trickle):
            if answer.cut is not None and sent + len(piece) >= answer.cut:
                piece = piece[:answer.cut - sent]
                self.write(b"%x\r\n%b" % (len(piece) + 1, piece) if chunked else piece)
                self.cut()
            self.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            sent += len(piece)
        if chunked:
            self.write(b"0\r\n\r\n")

    def goodbye(self, notify):
        if isinstance(self.sock, ssl.SSLSocket) and notify:
            self.sock.settimeout(1)
            try:
                self.sock.unwrap()
            except (OSError, ValueError):
                pass
        else:
            self.cut()


def phrase(status):
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def compress(body):
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    if isinstance(body, bytes):
        return packer.compress(body) + packer.flush()
    return compress_pieces(packer, body)


def compress_pieces(packer, body):
    for piece in body:
        yield packer.compress(piece)
    yield packer.flush()


def paced(connection, body, rate):
    """The pieces of a body, at most rate bytes a second if rate is not 0."""
    for piece in (body,) if isinstance(body, bytes) else body:
        if not rate:
            if piece:
                yield piece
            continue
        step = max(1, rate // 20)
        for at in range(0, len(piece), step):
            part = piece[at:at + step]
            yield part
            connection.pause(len(part) / rate)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens on 127.0.0.1; route(request) returns a Response or a Script."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port, state, route, names=(), tls=None):
        super().__init__(("127.0.0.1", port), Connection)
        self.state, self.route, self.tls = state, route, tls
        self.names = {"127.0.0.1", "localhost", *names}

    def handle_error(self, request, client_address):
        # A bug of this server must not look like a behaviour under test.
        self.state.broken()
        super().handle_error(request, client_address)

    def run(self):
        threading.Thread(target=self.serve_forever, args=(0.5,), daemon=True).start()
