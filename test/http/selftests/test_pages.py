"""The paging conventions."""

import http.client
import json
import re
import threading
import time
from urllib.parse import quote, urljoin, urlsplit

from .harness import Case


class Paging(Case):
    RECORDS = [{"id": i, "name": "näme, %d" % i} for i in range(1, 8)]
    EXACT = '[{"id": 1, "n": 12345678901234567890.10}, {"n":1e400} ,\n{"s":"a,]\\"["}]'

    def setUp(self):
        super().setUp()
        self.fake.put("s", json.dumps(self.RECORDS))

    def walk(self, kind, options="", pages=20):
        """The pages' records, following each convention as a client must."""
        target, out = "/pages/%s?set=s&size=3%s" % (kind, options), []
        first = target
        for _ in range(pages):
            head, body = self.get(target)
            document = json.loads(body)
            out.append(RECORDS_OF[kind](document))
            target = NEXT_OF[kind](first, target, document, head, out)
            if target is None:
                return out
        return out

    def test_all_conventions(self):
        pages = [self.RECORDS[0:3], self.RECORDS[3:6], self.RECORDS[6:]]
        for kind, forms in (("link", ("", "&form=plain", "&form=headers", "&form=relative")),
                            ("cursor", ("", "&end=missing", "&end=empty")),
                            ("next_url", ("", "&form=relative", "&form=query", "&form=hal")),
                            ("page", ("", "&totals=0", "&base=0")), ("offset", ("", "&totals=0"))):
            for form in forms:
                got = [page for page in self.walk(kind, form) if page]
                self.assertEqual(got, pages, kind + form)

    def test_sample_link_header(self):
        link = self.get("/pages/link?set=s")[0]["Link"]
        self.assertRegex(link, r'title="x, \\"y\\""; ReL="Next last", <')
        self.assertRegex(link, r'rel=\\"next\\", x"; rel=first')
        self.assertEqual(len(self.get("/pages/link?set=s&form=headers")[0].get_all("Link")), 2)

    def test_envelopes(self):
        page = self.json("/pages/cursor?set=s&size=7")
        self.assertEqual(page, {"object": "list", "data": self.RECORDS, "has_more": False,
                                "next_cursor": None})
        self.assertRegex(self.json("/pages/cursor?set=s")["next_cursor"], r"\A\+\+//")
        page = self.json("/pages/page?set=s&per_page=3&page=99")
        self.assertEqual(page, {"page": 99, "per_page": 3, "data": [], "total_pages": 3})
        page = self.json("/pages/offset?set=s&offset=6&limit=3")
        self.assertEqual(page, {"offset": 6, "limit": 3, "items": [self.RECORDS[6]], "total": 7})
        origin = "http://127.0.0.1:%d" % self.fake.port
        page = self.json("/pages/next_url?set=s&size=4")
        self.assertEqual(page["next"], origin + "/pages/next_url?set=s&size=4&page=2")
        self.assertEqual((page["count"], page["previous"]), (7, None))
        page = self.json("/pages/next_url?set=s&size=4&foreign=http%3A%2F%2Fevil.example")
        self.assertTrue(page["next"].startswith("http://evil.example/pages/next_url?"))

    def test_strict(self):
        for target, status in (("cursor?set=s&cursor=cus_1", 400), ("cursor?set=s&cursor=", 400),
                               ("link?set=s&after=x", 400), ("next_url?set=s&page=99", 404),
                               ("page?set=s&page=0", 400), ("page?set=s&page=x", 400),
                               ("offset?set=s&offset=-1", 400), ("cursor?set=none", 404),
                               ("cursor?set=s&page=1", 400), ("page?set=s&empty_at=1", 400)):
            self.json("/pages/" + target, status)
        cursor = self.json("/pages/cursor?set=s")["next_cursor"]
        # Not percent-encoded, its plus signs are spaces.
        self.json("/pages/cursor?set=s&cursor=" + cursor, 400)
        self.json("/pages/cursor?set=s&cursor=" + quote(cursor, safe=""))

    def test_numbers_are_not_rewritten(self):
        self.fake.put("s", self.EXACT)
        body = self.get("/pages/page?set=s&totals=0")[1].decode()
        self.assertIn('{"id": 1, "n": 12345678901234567890.10},{"n":1e400}', body)
        self.fake.put("s", "[]")
        self.assertEqual(self.json("/pages/link?set=s"), [])
        self.fake.put("s", "{}")
        self.get("/pages/link?set=s", 500)

    def test_fail_and_cut(self):
        self.assertEqual(self.json("/pages/page?set=s&page=1&fail_at=2")["page"], 1)
        for _ in range(3):
            self.json("/pages/page?set=s&page=2&fail_at=2", 500)
        for _ in range(2):
            head = self.get("/pages/page?set=s&page=2&fail_at=2&status=429&times=2&retry_after=0",
                            429)[0]
            self.assertEqual(head["Retry-After"], "0")
        self.get("/pages/page?set=s&page=2&fail_at=2&status=429&times=2")
        for kind, framing in (("page", ""), ("offset", "&chunked=1"), ("page", "&gzip=force")):
            where = "page=2" if kind == "page" else "offset=2"
            target = "/pages/%s?set=s&%s&cut_at=2%s" % (kind, where, framing)
            with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                self.get(target)
        with self.assertRaises(http.client.IncompleteRead):
            self.get("/pages/cursor?set=s&cut_at=1&times=1")
        self.get("/pages/cursor?set=s&cut_at=1&times=1")

    def test_repeat(self):
        for kind in ("link", "cursor", "next_url", "page", "offset"):
            pages = self.walk(kind, "&repeat_at=2", pages=5)
            self.assertEqual(pages, [self.RECORDS[0:3]] + [self.RECORDS[3:6]] * 4, kind)
        cursor = self.json("/pages/cursor?set=s&repeat_at=1")["next_cursor"]
        again = self.json("/pages/cursor?set=s&repeat_at=1&cursor=" + quote(cursor, safe=""))
        self.assertEqual(again["next_cursor"], cursor)

    def test_cap_total_and_empty(self):
        for kind in ("link", "cursor", "next_url", "page", "offset"):
            pages = [page for page in self.walk(kind, "&cap=2") if page]
            self.assertEqual([len(page) for page in pages], [2, 2, 2, 1], kind)
            self.assertEqual(sum(pages, []), self.RECORDS)
        self.assertEqual(self.json("/pages/offset?set=s&lie_total=100")["total"], 100)
        self.assertEqual(self.json("/pages/page?set=s&lie_total=100")["total_pages"], 50)
        self.assertEqual(self.json("/pages/cursor?set=s&lie_total=100")["total"], 100)
        self.assertEqual(self.json("/pages/next_url?set=s&lie_total=100")["count"], 100)
        for kind in ("link", "cursor", "next_url"):
            self.assertEqual([len(page) for page in self.walk(kind, "&empty_at=2")], [3, 0, 3, 1])

    def test_slow_and_held_pages(self):
        begin = time.monotonic()
        self.get("/slowpages/page?set=s&page=1")
        self.assertLess(time.monotonic() - begin, 0.2)
        self.get("/slowpages/page?set=s&page=2&pause=0.4")
        self.assertGreater(time.monotonic() - begin, 0.4)
        done = threading.Event()
        threading.Thread(target=lambda: (self.get("/pages/page?set=s&page=2&hold_at=2"),
                                         done.set())).start()
        while self.fake.state()["waiting"] != {"page": 1}:
            time.sleep(0.02)
        self.assertFalse(done.is_set())
        self.fake.control("POST", "/control/release", b"")
        self.assertTrue(done.wait(5))


def next_link(first, target, document, head, out):
    # What is quoted is no relation; then split at commas outside <>.
    for link in head.get_all("Link") or ():
        link = re.sub(r'title="(\\.|[^"\\])*"', "title", link)
        for url, rest in re.findall(r"<([^>]*)>([^<]*)", link):
            relations = re.search(r'(?i)rel="?([^";,]*)', rest)[1].lower().split()
            if "next" in relations:
                parts = urlsplit(urljoin("http://x" + target, url))
                return parts.path + "?" + parts.query
    return None


def next_cursor(first, target, document, head, out):
    if not document["has_more"]:
        return None
    return first + "&cursor=" + quote(document["next_cursor"], safe="")


def next_url(first, target, document, head, out):
    url = document.get("next") or document.get("_links", {}).get("next", {}).get("href")
    if not url:
        return None
    parts = urlsplit(urljoin("http://x" + target, url))
    return parts.path + "?" + parts.query


RECORDS_OF = {"link": lambda d: d, "cursor": lambda d: d["data"], "page": lambda d: d["data"],
              "next_url": lambda d: d["results"] if "results" in d else d["items"],
              "offset": lambda d: d["items"]}
NEXT_OF = {"link": next_link, "cursor": next_cursor, "next_url": next_url,
           "page": lambda first, target, document, head, out: None if not out[-1] else
           first + "&page=%d" % (len(out) + ("base=0" not in first)),
           "offset": lambda first, target, document, head, out: None if not out[-1] else
           first + "&offset=%d" % sum(map(len, out))}
