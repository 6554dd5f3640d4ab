"""/gen/{json,ndjson,csv}: many rows, made fast and without holding them.

A block of a thousand rows is made once; the blocks differ only in six digits inside the id, the
texts and the big integer, put in by bytes.replace().
"""

import json
import random

from .wire import DELIVERY, Refused, Response

BLOCK = 1000
MARK = b"~~~~~~"
MAX_ROWS = 10**9
COLUMNS = ("id", "name", "email", "city", "note", "amount", "updated_at", "active", "quantity",
           "big")
CITIES = ("Zürich", "Łódź", "São Paulo", "東京", "Reykjavík", "New York", "Saint-Étienne",
          "Αθήνα", "Київ", "O'Fallon")
NOTES = (None, "", "plain", 'said "hi"', "a, b; c", "line\nbreak", "tab\there", "back\\slash",
         "emoji \U0001f600", "{\"not\": [\"json\"]}")
WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india")
TYPES = {"json": "application/json", "ndjson": "application/x-ndjson",
         "csv": "text/csv; charset=utf-8"}


def number_text(rng):
    """A number of 2 to 20 digits, some behind a point: more than a double can hold."""
    digits = rng.randint(2, 20)
    scale = rng.randint(0, min(6, digits - 1))
    text = str(rng.randint(10**(digits - 1), 10**digits - 1))
    if scale:
        text = text[:-scale] + "." + text[-scale:]
    return ("-" if rng.random() < 0.1 else "") + text


def make_row(rng, i):
    """The ten values; a bool or None as such, everything else as its text."""
    mark = MARK.decode()
    note = rng.choice(NOTES)
    if note:
        note += " " + " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 8)))
    stamp = "20%02d-%02d-%02dT%02d:%02d:%02d.%06d" % (
        rng.randint(0, 29), rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23),
        rng.randint(0, 59), rng.randint(0, 59), rng.randint(0, 999999))
    return ("1%s%03d" % (mark, i), "Customer 1%s%03d" % (mark, i),
            "user.%s%03d@example.com" % (mark, i), rng.choice(CITIES), note, number_text(rng),
            stamp + rng.choice(("Z", "+02:00", "-05:30")), rng.random() < 0.5,
            str(rng.randint(-1000, 1000000)), "90%s%03d%08d" % (mark, i, rng.randrange(10**8)))


NUMBERS = {"id", "amount", "quantity", "big"}


def json_row(row, ascii_only):
    parts = []
    for name, value in zip(COLUMNS, row):
        if name not in NUMBERS:
            value = json.dumps(value, ensure_ascii=ascii_only)
        parts.append('"%s":%s' % (name, value))
    return "{" + ",".join(parts) + "}"


def csv_row(row):
    return ",".join(map(csv_value, row))


def csv_value(value):
    """NULL is nothing, the empty string is quoted."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value == "" or any(mark in value for mark in ',"\r\n'):
        return '"' + value.replace('"', '""') + '"'
    return value


def make_rows(form, seed):
    rng = random.Random(seed)
    for i in range(BLOCK):
        row = make_row(rng, i)
        yield (csv_row(row) if form == "csv" else json_row(row, i % 2)).encode()


def stream(form, rows, seed):
    """The document in pieces of about 300 kB."""
    lines = list(make_rows(form, seed))
    before, between, after = {"json": (b"[\n", b",\n", b"\n]\n"), "ndjson": (b"", b"\n", b"\n"),
                              "csv": (",".join(COLUMNS).encode() + b"\r\n", b"\r\n", b"\r\n")}[form]
    if not rows:
        yield before + (after if form == "json" else b"")
        return
    whole = between.join(lines) + between
    blocks, rest = divmod(rows - 1, BLOCK)
    if before:
        yield before
    for block in range(blocks):
        yield whole.replace(MARK, b"%06d" % block)
    yield (between.join(lines[:rest + 1]) + after).replace(MARK, b"%06d" % blocks)


def generate(request, form):
    if form not in TYPES:
        raise Refused(404, "there is no such format")
    request.need("GET")
    request.only(DELIVERY, "rows", "seed", "cut_at")
    rows = request.number("rows", 1000, 0, MAX_ROWS)
    answer = Response(stream(form, rows, request.number("seed", 1)), type=TYPES[form])
    answer.cut = request.number("cut_at", None)
    return request.deliver(answer)
