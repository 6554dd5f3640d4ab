"""/bad/KIND: everything that a service can do wrong."""

import json
import re
import time
import zlib
from urllib.parse import quote, urlencode

from .wire import DELIVERY, PIECE, Refused, Response, Script, compress, error_response

GOOD = b'[{"id": 1, "name": "one"}, {"id": 2, "name": "two"}, {"id": 3, "name": "three"}]\n'
LOGIN = (b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>"
         b"<form action=\"/login\"><input name=\"user\"></form></body></html>\n")
MB = 1024 * 1024

# Documents that are wrong in themselves; the HTTP around them is right.
DOCUMENTS = {
    "html_as_json": LOGIN,
    "invalid_utf8": b'[{"id": 1, "name": "one"}, {"id": 2, "name": "a\xff\xc3(b"}, '
                    b'{"id": 3, "name": "three"}]\n',
    "nul": b'[{"id": 1, "name": "one"}, {"id": 2, "name": "a\\u0000b"}, '
           b'{"id": 3, "name": "three"}]\n',
    "nul_byte": b'[{"id": 1, "name": "a\x00b"}]\n',
    "surrogate": b'[{"id": 1, "name": "one"}, {"id": 2, "name": "a\\ud800b"}]\n',
    "not_object": b'[{"id": 1, "name": "one"}, 2, "three", [4], null, {"id": 6, "name": "six"}]\n',
    "missing_key": b'[{"id": 1, "name": "one"}, {"name": "two"}, {"id": null, "name": "three"}, '
                   b'{"id": 4, "name": "four"}]\n',
    "duplicate_key": b'[{"id": 1, "name": "one", "id": 2}]\n',
    "big_number": b'[{"id": 1, "name": "one"}, {"id": 99999999999999999999, "name": "two"}, '
                  b'{"id": 18446744073709551615, "name": "three"}, '
                  b'{"id": 1e400, "name": "four"}]\n',
    "nan": b'[{"id": NaN, "name": "one"}]\n',
    "bom": b"\xef\xbb\xbf" + GOOD,
    "trailing": GOOD.rstrip() + b' {"id": 4}\n',
    "single_quotes": b"[{'id': 1, 'name': 'one'}]\n",
    "empty": b"",
    "deep": b"[" * 10000 + b"]" * 10000 + b"\n",
    "deep_record": b'[{"id": 1, "name": ' + b"[" * 10000 + b"]" * 10000 + b"}]\n",
}


def good(request):
    """The answer when nothing is wrong: the document named by set, or three records."""
    if "set" in request.query:
        content, kind = request.state.document(request.text("set"))
        return Response(content, type=kind)
    return Response(GOOD)


def whole(request):
    """A good answer's body and head, as bytes to spoil."""
    answer = good(request)
    return answer.body, [("Content-Type", answer.type)]


def bad(request, kind):
    """times=N: only the first N requests go wrong."""
    request.need("GET", "POST")
    names = re.fullmatch("[45][0-9][0-9]", kind) and STATUS or PARAMETERS.get(kind, ())
    request.only(DELIVERY, "times", "id", "set", set(names))
    times = request.number("times", None)
    if kind in DOCUMENTS:
        wrong = document
    else:
        wrong = status_page if names is STATUS else KINDS.get(kind)
    if wrong is None:
        raise Refused(404, "there is no such mishap")
    if not request.state.first_times(request.target, times):
        return request.deliver(good(request))
    answer = wrong(request, kind)
    return request.deliver(answer) if isinstance(answer, Response) else answer


def document(request, kind):
    return Response(DOCUMENTS[kind])


# -- statuses

STATUS = ("retry_after", "retry_date", "html", "message")


def status_page(request, kind):
    status, headers = int(kind), []
    if status == 401:
        headers.append(("WWW-Authenticate", 'Bearer realm="fake"'))
    if "retry_after" in request.query:
        headers.append(("Retry-After", request.text("retry_after")))
    if "retry_date" in request.query:
        headers.append(("Retry-After", http_date(request)))
    if request.text("html", "0", ("0", "1")) == "1":
        return Response(LOGIN, status, "text/html; charset=utf-8", headers)
    message = request.text("message", "this always answers " + kind)
    return error_response(Refused(status, message, headers))


def http_date(request):
    """So many seconds from now, in one of RFC 9110's three forms: retry_date=SECONDS[.FORM]."""
    match = re.fullmatch("([0-9]{1,9})(?:[.](imf|rfc850|asctime))?", request.text("retry_date"))
    if not match:
        raise Refused(400, "bad value of parameter retry_date")
    form = {"rfc850": "%A, %d-%b-%y %H:%M:%S GMT", "asctime": "%a %b %d %H:%M:%S %Y"}
    moment = time.gmtime(time.time() + int(match[1]))
    text = time.strftime(form.get(match[2], "%a, %d %b %Y %H:%M:%S GMT"), moment)
    return re.sub(r"^(\w{3} \w{3} )0", r"\1 ", text) if match[2] == "asctime" else text


def html(request, kind):
    return Response(LOGIN, type="text/html; charset=utf-8")


def no_content(request, kind):
    return Response(b"", status=204)


# -- bodies that end wrongly

def truncated(request, kind):
    answer = good(request)
    answer.body = answer.body[:request.number("at", len(answer.body) // 2)]
    return answer


def cut(request, kind):
    answer = good(request)
    answer.cut = request.number("at", len(answer.body) // 2)
    return answer


def rst(request, kind):
    body, headers = whole(request)

    def run(connection):
        headers.append(("Content-Length", str(len(body))))
        connection.write(connection.head(200, headers) + body[:len(body) // 2])
        # A moment for the first half to be read: an RST discards what was not.
        connection.pause(0.2)
        connection.cut(reset=True)
    return Script(run)


def no_answer(request, kind):
    return Script(lambda connection: connection.cut(), status=0)


def short_length(request, kind):
    body, headers = whole(request)

    def run(connection):
        headers.append(("Content-Length", str(len(body) - 10)))
        connection.write(connection.head(200, headers) + body)
        connection.cut()
    return Script(run)


def bad_chunk(request, kind):
    body, headers = whole(request)

    def run(connection):
        headers.append(("Transfer-Encoding", "chunked"))
        head = connection.head(200, headers)
        connection.write(head + b"%x\r\n%b\r\nxyz\r\n%b\r\n0\r\n\r\n" % (len(body), body, body))
        connection.cut()
    return Script(run)


def stall(request, kind):
    body, headers = whole(request)
    seconds = request.seconds("seconds", 3600)

    def run(connection):
        headers.append(("Content-Length", str(len(body))))
        connection.write(connection.head(200, headers) + body[:len(body) // 2])
        connection.pause(seconds)
        connection.cut()
    return Script(run)


# -- heads that are wrong

def no_http(request, kind):
    def run(connection):
        connection.write(b"SSH-2.0-\x00\xff\xfe garbage \x1b[31m\r\n" * 4)
        connection.cut()
    return Script(run, status=0)


def slow_headers(request, kind):
    body, headers = whole(request)
    seconds = request.seconds("seconds", 3600)

    def run(connection):
        connection.write(b"HTTP/1.1 200 OK\r\n")
        steps = max(1, int(seconds * 5))
        for step in range(steps):
            connection.write(b"X-Slow-%d: yes\r\n" % step)
            connection.pause(seconds / steps)
        headers.append(("Content-Length", str(len(body))))
        connection.write(connection.head(200, headers).split(b"\r\n", 1)[1] + body)
        connection.cut()
    return Script(run)


def huge_headers(request, kind):
    answer = good(request)
    answer.headers += [("X-Pad-%d" % i, "x" * 1000) for i in range(request.number("kb", 1024))]
    return answer


def redirect(request, kind):
    status = request.number("status", 302, 300, 399)
    to = request.text("to", "")
    if re.search(r"[^\x20-\x7e]", to):
        raise Refused(400, "bad value of parameter to")
    return Response(b"", status, "", [("Location", to)])


def redirect_loop(request, kind):
    return Response(b"", 302, "", [("Location", request.target)])


def redirect_chain(request, kind):
    """hops=N redirects, each with a relative Location, then the good answer."""
    hops = request.number("hops", 5)
    if not hops:
        return good(request)
    query = urlencode({**request.query, "hops": hops - 1}, quote_via=quote)
    return Response(b"", request.number("status", 302, 300, 399), "", [("Location", "?" + query)])


# -- too much

def records(size, first=1):
    """About size bytes of records, with a comma behind each."""
    one = b'{"id": %d, "name": "' + b"x" * 1000 + b'"},\n'
    made, piece = 0, []
    while made < size:
        piece.append(one % (first + len(piece)))
        made += len(piece[-1])
    return b"".join(piece)


def huge(request, kind):
    size = request.number("mb", 100, 1) * MB

    def stream(block, first, last):
        yield first
        for _ in range(max(1, size // len(block))):
            yield block
        yield last
    if request.text("one", "0", ("0", "1")) == "1":
        return Response(stream(b"x" * PIECE, b'[{"id": 1, "name": "', b'"}]\n'))
    return Response(stream(records(PIECE), b"[", b'{"id": 0, "name": "last"}]\n'))


def endless(request, kind):
    def stream():
        yield b"["
        block = records(PIECE)
        while True:
            yield block
    return Response(stream())


def gzip_bomb(request, kind):
    """mb=N megabytes of good JSON, packed about a thousandfold."""
    blocks = request.number("mb", 1024, 1)
    block = records(MB)
    first, last = b"[", b'{"id": 0, "name": "last"}]\n'

    def stream():
        # After a full flush the same packed bytes mean the same text wherever they stand.
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        yield b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
        yield packer.compress(first) + packer.flush(zlib.Z_FULL_FLUSH)
        packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
        crc = zlib.crc32(first)
        for _ in range(blocks):
            crc = zlib.crc32(block, crc)
            yield packed
        yield packer.compress(last) + packer.flush()
        size = len(first) + blocks * len(block) + len(last)
        yield zlib.crc32(last, crc).to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
    return Response(stream(), headers=[("Content-Encoding", "gzip")])


def gzip_truncated(request, kind):
    """The packed bytes end early (at=B, default half way) while the framing is right."""
    answer = good(request)
    if "set" not in request.query:
        # Something that does not pack, so that half of it is half of the text.
        text = "".join("%08x" % (i * 2654435761 % 2**32) for i in range(1000))
        answer.body = json.dumps([{"id": 1, "name": text}]).encode()
    body = compress(answer.body)
    answer.body = body[:request.number("at", len(body) // 2)]
    answer.headers.append(("Content-Encoding", "gzip"))
    return answer


def gzip_garbage(request, kind):
    return Response(GOOD, headers=[("Content-Encoding", "gzip")])


KINDS = {f.__name__: f for f in (
    html, no_content, truncated, cut, rst, no_answer, short_length, bad_chunk, stall, no_http,
    slow_headers, huge_headers, redirect, redirect_loop, redirect_chain, huge, endless, gzip_bomb,
    gzip_truncated, gzip_garbage)}
PARAMETERS = {"truncated": ("at",), "cut": ("at",), "gzip_truncated": ("at",),
              "stall": ("seconds",), "slow_headers": ("seconds",), "huge_headers": ("kb",),
              "redirect": ("to", "status"), "redirect_chain": ("hops", "status"),
              "huge": ("mb", "one"), "gzip_bomb": ("mb",)}
