"""/pages/KIND and /slowpages/KIND: one JSON array, handed out in the usual paging conventions."""

import base64
import json
import math
import re
import zlib
from urllib.parse import quote, urlencode

from .wire import DELIVERY, Refused, Response, error_response

COMMON = DELIVERY | {"set", "size", "fail_at", "status", "times", "retry_after", "repeat_at",
                     "cut_at", "cap", "lie_total", "hold_at", "pause", "updated_since"}
KINDS = {
    "link": {"after", "form", "empty_at"},
    "cursor": {"cursor", "end", "empty_at"},
    "next_url": {"page", "form", "foreign", "empty_at"},
    "page": {"page", "per_page", "totals", "base"},
    "offset": {"offset", "limit", "totals"},
}
DATA = "@data@"


class Page:
    """Where a request stands in the set: start (0-based record), number (1-based page), rows."""

    def __init__(self, request, kind):
        self.request, self.kind = request, kind
        self.records = newer(split_array(*request.state.document(request.text("set", ""))),
                             request.text("updated_since", ""))
        self.size = request.number("size", 2, 1, 10**6)
        self.cap = request.number("cap", 10**6, 1)
        self.empty_at = request.number("empty_at", 0)
        self.repeat_at = request.number("repeat_at", 0, 1)
        self.total = request.number("lie_total", len(self.records))
        LOCATE[kind](self)
        self.rows = self.records[self.start:self.start + self.step]
        if self.number == self.empty_at:
            self.rows = []
        self.end = self.start + len(self.rows)
        self.more = self.end < len(self.records)

    @property
    def step(self):
        return min(self.size, self.cap)

    def place(self, number):
        """Goes to a page by its number."""
        if self.kind in ("page", "offset") and 0 < self.repeat_at < number:
            number = self.repeat_at
        skipped = 1 if 0 < self.empty_at < number else 0
        self.number, self.start = number, (number - 1 - skipped) * self.step

    def url(self, **changes):
        """This request's URL with other paging parameters; None removes one."""
        query = {**self.request.sticky, **self.request.query, **changes}
        query = {name: value for name, value in query.items() if value is not None}
        return self.request.path + "?" + urlencode(query, quote_via=quote, safe=",")

    def following(self):
        """(start, number) of the next page, or None."""
        if self.repeat_at and self.number >= self.repeat_at:
            return self.start, self.number
        return (self.end, self.number + 1) if self.more else None


def split_array(content, content_type):
    """The elements of a JSON array as their own text, so that no number is rewritten."""
    text = content.decode("utf-8")
    decoder, space = json.JSONDecoder(), re.compile(r"[ \t\r\n]*")
    at = space.match(text).end()
    if text[at:at + 1] != "[":
        raise Refused(500, "the set is not a JSON array")
    items, at = [], space.match(text, at + 1).end()
    while text[at:at + 1] != "]":
        _, end = decoder.raw_decode(text, at)
        items.append(text[at:end])
        at = space.match(text, end).end()
        if text[at:at + 1] == ",":
            at = space.match(text, at + 1).end()
    return items


def newer(items, since):
    """Those whose updated_at, as text, is not below since; others have no say in the matter."""
    return [item for item in items if not since or str(json.loads(item)["updated_at"]) >= since]


# -- opaque tokens.  The bytes in front make Base64's + and / appear, which clients must encode.

def make_token(kind, place):
    payload = b"%s.%d.%d" % (kind.encode(), *place)
    check = b"%08x" % zlib.crc32(payload)
    return base64.b64encode(b"\xfb\xef\xff" + payload + b"." + check).decode()


def read_token(page, name):
    if name not in page.request.query:
        page.place(1)
        return
    token = page.request.query[name]
    try:
        payload = base64.b64decode(token.replace("a,b:", "", 1), validate=True)[3:]
        kind, start, number, _ = payload.decode().split(".")
        place = int(start), int(number)
        good = make_token(page.kind, place) == token.replace("a,b:", "", 1) and kind == page.kind
    except ValueError:
        good = False
    if not good:
        raise Refused(400, "unknown %s: %s" % (name, token), code="invalid_cursor")
    page.start, page.number = place


# -- one function per convention: where are we, and what does the answer look like

def locate_link(page):
    read_token(page, "after")


def render_link(page):
    form = page.request.text("form", "nasty", ("nasty", "plain", "headers", "relative"))
    place = page.following()
    base = "" if form == "relative" else page.request.origin
    first = base + page.url(after=None)
    nxt = place and base + page.url(after="a,b:" + make_token("link", place))
    if form in ("plain", "relative"):
        links = ['<%s>; rel="next"' % nxt] if nxt else []
    elif form == "headers":
        links = ['<%s>; rel="first"' % first] + (["<%s>; rel=next" % nxt] if nxt else [])
    else:
        links = [nasty_links(first, nxt)]
    return DATA, [("Link", link) for link in links]


def nasty_links(first, nxt):
    """What RFC 8288 allows: quoted commas, a decoy inside quotes, several relations, separators
    in them, no quotes."""
    decoy = '<%s>; title="<%s>; rel=\\"next\\", x"; rel=first' % (first, first)
    if not nxt:
        return decoy + ", <%s>; REL=\"prev;next,x\"" % first
    return '%s, <%s>; title="x, \\"y\\""; ReL="Next last", <%s>;rel=up' % (decoy, nxt, first)


def locate_cursor(page):
    read_token(page, "cursor")


def render_cursor(page):
    place = page.following()
    end = page.request.text("end", "null", ("null", "missing", "empty"))
    body = {"object": "list", "data": DATA, "has_more": place is not None}
    if place:
        body["next_cursor"] = make_token("cursor", place)
    elif end != "missing":
        body["next_cursor"] = None if end == "null" else ""
    if "lie_total" in page.request.query:
        body["total"] = page.total
    return body, []


def locate_next_url(page):
    page.place(page.request.number("page", 1, 1))
    if page.start and page.start >= len(page.records):
        raise Refused(404, "there is no such page")


def render_next_url(page):
    form = page.request.text("form", "absolute", ("absolute", "relative", "query", "hal"))
    place = page.following()
    base = page.request.text("foreign", page.request.origin)
    base = base if form in ("absolute", "hal") else ""
    nxt = place and base + page.url(page=place[1])
    if form == "query" and nxt:
        nxt = nxt[nxt.index("?"):]
    if form == "hal":
        links = {"self": {"href": page.url(page=page.number)}}
        if nxt:
            links["next"] = {"href": nxt}
        return {"items": DATA, "_links": links}, []
    previous = base + page.url(page=page.number - 1) if page.number > 1 else None
    return {"count": page.total, "next": nxt, "previous": previous, "results": DATA}, []


def locate_page(page):
    base = page.request.number("base", 1, 0, 1)
    page.size = page.request.number("per_page", page.size, 1)
    page.place(page.request.number("page", base, base) - base + 1)


def render_page(page):
    base = page.request.number("base", 1)
    body = {"page": page.request.number("page", base), "per_page": page.size, "data": DATA}
    if page.request.text("totals", "1", ("0", "1")) == "1":
        body["total_pages"] = math.ceil(page.total / page.step)
    return body, []


def locate_offset(page):
    page.size = page.request.number("limit", page.size, 1)
    page.start = page.request.number("offset", 0)
    page.number = page.start // page.step + 1
    if 0 < page.repeat_at < page.number:
        page.place(page.number)


def render_offset(page):
    body = {"offset": page.request.number("offset", 0), "limit": page.size, "items": DATA}
    if page.request.text("totals", "1", ("0", "1")) == "1":
        body["total"] = page.total
    return body, []


LOCATE = {"link": locate_link, "cursor": locate_cursor, "next_url": locate_next_url,
          "page": locate_page, "offset": locate_offset}
RENDER = {"link": render_link, "cursor": render_cursor, "next_url": render_next_url,
          "page": render_page, "offset": render_offset}


def pages(request, kind, pause=0.0):
    """A page of the set, or the failure that the parameters ask for."""
    if kind not in KINDS:
        raise Refused(404, "there is no such convention")
    request.need("GET")
    request.only(COMMON, KINDS[kind])
    page = Page(request, kind)
    envelope, headers = RENDER[kind](page)
    body = json.dumps(envelope, ensure_ascii=False)
    body = body.replace(json.dumps(DATA), "[" + ",".join(page.rows) + "]")
    answer = fail(page) or Response(body.encode(), headers=headers)
    request.deliver(answer)
    answer.delay += request.seconds("pause", pause) if page.number > 1 else 0
    if page.number == request.number("hold_at", 0):
        answer.hold = "page"
    if page.number == request.number("cut_at", 0, 1) and counted(page, "cut_at"):
        answer.cut = "half"
    return answer


def counted(page, what):
    times = page.request.number("times", None)
    key = (page.kind, page.request.text("set"), what, page.number, times)
    return page.request.state.first_times(key, times)


def fail(page):
    request = page.request
    if page.number != request.number("fail_at", 0, 1) or not counted(page, "fail_at"):
        return None
    headers = []
    if "retry_after" in request.query:
        headers.append(("Retry-After", request.text("retry_after")))
    status = request.number("status", 500, 400, 599)
    return error_response(Refused(status, "page %d fails" % page.number, headers, code="failed"))
