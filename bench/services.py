"""Rows of a file of NDJSON as a service sends them: services.py SERVICE FILE PORT_FILE PARENT_PID

Answers what a read by object asks, in pages of the size that the service would send, and below /large in pages of 25 MB
where the service decides; where the reader does, it may ask for as many.  The rows are made before the port is told.
"""
import gzip
import json
import os
import re
import socketserver
import sys
import threading
import time
from datetime import date, datetime, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = 25 * 1000 * 1000
EPOCH = date(1970, 1, 1)


def micros(value):
    moment = datetime.fromisoformat(value).astimezone(timezone.utc)
    return int(moment.timestamp()) * 1000000 + moment.microsecond


def zulu(value, digits):
    moment = micros(value)
    text = datetime.fromtimestamp(moment // 1000000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return "%s.%0*dZ" % (text, digits, moment % 1000000 // 10 ** (6 - digits))


def days(value):
    return (date.fromisoformat(value) - EPOCH).days


class Texts:
    """Of services whose cells are texts; numbers of the file have come as texts already."""

    def cell(self, name, value):
        if name == "updated_at":
            return self.moment(value)
        if name == "day":
            return self.day(value)
        return str(value).lower() if isinstance(value, bool) else value

    def day(self, value):
        return value

    def moment(self, value):
        return str(micros(value))

    def row(self, record):
        return json.dumps([self.cell(name, value) for name, value in record.items()], separators=(",", ":"))


class Service:
    """Rows, and who asks for them; rows are kept as texts."""

    def __init__(self, records):
        self.names = None
        self.rows = []
        for record in records:
            self.names = self.names or list(record)
            self.rows.append(self.row(record))
        self.pages = {}
        self.lock = threading.Lock()
        self.prepare()

    def prepare(self):
        pass

    def cut(self, large):
        """Where pages end that the service makes."""
        if not large:
            return self.sizes()
        step = max(1, LARGE * len(self.rows) // (sum(map(len, self.rows)) + 1))
        return [min(step, len(self.rows) - at) for at in range(0, len(self.rows), step)]

    def parts(self, large):
        """The rows of each, and its body."""
        with self.lock:
            if large not in self.pages:
                sizes, at, bodies = self.cut(large), 0, []
                for number, size in enumerate(sizes):
                    bodies.append(self.body(self.rows[at:at + size], number, len(sizes)))
                    at += size
                self.pages[large] = sizes, bodies
            return self.pages[large]

    def even(self, step):
        return [min(step, len(self.rows) - at) for at in range(0, len(self.rows), step)]


class BigQuery(Texts, Service):
    """tabledata.list: pretty-printed, 100,000 rows a page, whatever the table is."""

    TYPES = {"id": "INTEGER", "amount": "NUMERIC", "updated_at": "TIMESTAMP", "active": "BOOLEAN", "quantity": "INTEGER",
             "big": "INTEGER", "day": "DATE"}

    def row(self, record):
        return "".join(("    {\n      \"f\": [\n", ",\n".join(
            "        {\n          \"v\": %s\n        }" % json.dumps(self.cell(name, value)) for name, value in record.items()),
            "\n      ]\n    }"))

    def sizes(self):
        return self.even(100000)

    def prepare(self):
        self.parts(False)

    def body(self, rows, number, count):
        token = "" if number + 1 == count else "  \"pageToken\": \"%d\",\n" % (number + 1)
        return ("{\n  \"kind\": \"bigquery#tableDataList\",\n  \"totalRows\": \"%d\",\n%s  \"rows\": [\n%s\n  ]\n}\n" % (
            len(self.rows), token, ",\n".join(rows))).encode()

    def answer(self, method, path, query, body, large):
        if path.endswith("/data"):
            return self.parts(large)[1][int(query.get("pageToken", "0"))]
        return json.dumps({"type": "TABLE", "schema": {"fields": [
            {"name": name, "type": self.TYPES.get(name, "STRING")} for name in self.names]}})


class Snowflake(Texts, Service):
    """Partitions, each about twice as large as the one before, always compressed."""

    TYPES = {"id": ("fixed", 18, 0), "amount": ("fixed", 12, 2), "updated_at": ("timestamp_ltz", 0, 9), "active": ("boolean", None, None),
             "quantity": ("fixed", 9, 0), "big": ("fixed", 18, 0), "day": ("date", None, None)}

    def day(self, value):
        return str(days(value))

    def moment(self, value):
        return "%d.%06d000" % divmod(micros(value), 1000000)

    def sizes(self):
        sizes, step, left = [], 2000, len(self.rows)
        while left:
            sizes.append(min(step, left))
            left -= sizes[-1]
            step = min(2 * step, 64000)
        return sizes

    def prepare(self):
        self.parts(False)

    def body(self, rows, number, count):
        return gzip.compress(("{\"data\":[%s]}" % ",".join(rows)).encode(), 6)

    def described(self, large, empty):
        sizes = [0] if empty else self.parts(large)[0]
        types = []
        for name in self.names:
            kind, precision, scale = self.TYPES.get(name, ("text", None, None))
            types.append({"name": name, "database": "BENCH", "schema": "PUBLIC", "table": "ROWS", "collation": None, "precision": precision,
                          "scale": scale, "nullable": True, "byteLength": None, "length": None, "type": kind})
        return json.dumps({
            "resultSetMetaData": {"numRows": sum(sizes), "format": "jsonv2", "partitionInfo": [
                {"rowCount": size, "uncompressedSize": 200 * size} for size in sizes], "rowType": types},
            "data": [], "code": "090001", "statementHandle": "01b0-%s" % ("empty" if empty else "full"), "sqlState": "00000",
            "message": "Statement executed successfully.", "createdOn": 1791499231275})

    def answer(self, method, path, query, body, large):
        if path.endswith("/statements"):
            empty = "LIMIT 0" in json.loads(body)["statement"]
            return 202, json.dumps({"code": "333334", "message": "Asynchronous execution in progress.",
                                    "statementHandle": "01b0-%s" % ("empty" if empty else "full")}), {}
        if path.endswith("/cancel"):
            return "{}"
        if "partition" in query:
            return 200, self.parts(large)[1][int(query["partition"])], {"Content-Encoding": "gzip"}
        return self.described(large, path.endswith("empty"))


class Databricks(Texts, Service):
    """Chunks of 16 MB or so behind links."""

    TYPES = {"id": "LONG", "amount": "DECIMAL", "updated_at": "TIMESTAMP", "active": "BOOLEAN", "quantity": "INT", "big": "LONG", "day": "DATE"}

    def sizes(self):
        return self.even(100000)

    def prepare(self):
        self.parts(False)

    def body(self, rows, number, count):
        return ("[%s]" % ",".join(rows)).encode()

    def described(self, large, empty):
        sizes = [] if empty else self.parts(large)[0]
        columns = []
        for at, name in enumerate(self.names):
            kind = self.TYPES.get(name, "STRING")
            if name == "updated_at" and not empty:
                kind = "LONG"  # unix_micros
            columns.append({"name": name, "position": at, "type_name": kind, "type_text": kind,
                            **({"type_precision": 12, "type_scale": 2} if kind == "DECIMAL" else {})})
        return {"statement_id": "01ee-empty" if empty else "01ee-full", "status": {"state": "SUCCEEDED"}, "manifest": {
            "format": "JSON_ARRAY", "schema": {"column_count": len(columns), "columns": columns}, "total_chunk_count": len(sizes),
            "chunks": [{"chunk_index": at, "row_offset": sum(sizes[:at]), "row_count": size} for at, size in enumerate(sizes)],
            "total_row_count": sum(sizes), "truncated": False}, "result": {}}

    def answer(self, method, path, query, body, large):
        if path.endswith("/statements"):
            empty = "LIMIT 0" in json.loads(body)["statement"]
            return json.dumps({"statement_id": "01ee-empty" if empty else "01ee-full", "status": {"state": "PENDING"}})
        if path.endswith("/cancel"):
            return "{}"
        number = int(path.rsplit("/", 1)[1]) if path.rsplit("/", 1)[1].isdigit() else 0
        if path.startswith("/storage/"):
            return self.parts(large)[1][number]
        if "/chunks/" in path:
            return json.dumps({"external_links": [{
                "chunk_index": number, "row_offset": 0, "row_count": self.parts(large)[0][number], "expiration": "2099-01-02T03:19:05.000Z",
                "external_link": "%s%s/storage/%d?X-Amz-Signature=abc" % (self.address, "/large" if large else "", number)}]})
        return json.dumps(self.described(large, path.endswith("empty")))


class GoogleSheets(Service):
    """A tab as values.get sends its blocks: pretty-printed.  (A real one ends at ten million cells.)"""

    def row(self, record):
        cells = []
        for name, value in record.items():
            if name == "day":
                value = repr(days(value) + 25569)
            elif name == "updated_at":
                value = repr(25569 + micros(value) / 86400000000)
            elif name in ("id", "amount", "quantity", "big"):
                pass
            else:
                value = json.dumps(value)
            cells.append("      " + value)
        return "    [\n%s\n    ]" % ",\n".join(cells)

    def answer(self, method, path, query, body, large):
        if "/values/" not in path:
            return json.dumps({"properties": {"title": "Bench", "locale": "en_US", "timeZone": "Etc/GMT"}, "sheets": [{"properties": {
                "sheetId": 0, "title": "rows", "index": 0, "sheetType": "GRID",
                "gridProperties": {"rowCount": len(self.rows) + 1, "columnCount": len(self.names)}}}]}, indent=2)
        asked = unquote(path.rsplit("/", 1)[1])
        first, last = (int(re.sub("[A-Z]", "", cell)) for cell in asked.split("!")[1].split(":"))
        rows = self.rows[first - 2:last - 1] if first > 1 else ["    [\n%s\n    ]" % ",\n".join('      "%s"' % name for name in self.names)]
        return "{\n  \"range\": \"rows!%s\",\n  \"majorDimension\": \"ROWS\",\n  \"values\": [\n%s\n  ]\n}\n" % (
            asked.split("!")[1], ",\n".join(rows))


class Elasticsearch(Service):
    """An index of documents, and the same by SQL."""

    TYPES = {"id": "long", "amount": "scaled_float", "updated_at": "date", "active": "boolean", "quantity": "integer", "big": "long",
             "day": "date", "note": "text"}
    SQL = {"scaled_float": "scaled_float", "date": "datetime"}
    PIT = "46ToAwMDaWR5BXV1aWQyKgZub2RlXzMAAAAAAAAAACoBYwADaWR4BXV1aWQxAgZub2RlXzEAAAAAAAAAAAEBYQADaWR5BXV1aWQyKgZub2RlXzIAAAAAAAAAAAwBYgAC"

    def row(self, record):
        number = record["id"]
        return '{"_index":"rows","_id":"AVq%s_hP9Wk0","_score":null,"_source":{%s},"sort":[%d]}' % (
            number.zfill(9), ",".join('"%s":%s' % (name, self.value(name, value)) for name, value in record.items()), len(self.rows))

    def value(self, name, value):
        if name == "updated_at":
            return '"%s"' % zulu(value, 3)
        return value if name in ("id", "amount", "quantity", "big") else json.dumps(value)

    def answer(self, method, path, query, body, large):
        asked = json.loads(body) if body else {}
        if path == "/":
            return json.dumps({"name": "n1", "cluster_name": "c", "version": {"number": "8.19.0", "build_flavor": "default"},
                               "tagline": "You Know, for Search"})
        if path.endswith("/_mapping"):
            return json.dumps({"rows": {"mappings": {"properties": {
                name: {"type": self.TYPES.get(name, "keyword")} for name in self.names}}}})
        if method == "DELETE":
            return '{"succeeded":true,"num_freed":1}'
        if path.endswith("/_pit"):
            return '{"id":"%s","_shards":{"total":1,"successful":1,"skipped":0,"failed":0}}' % self.PIT
        return self.search(asked)

    def search(self, asked):
        first, last = 0, len(self.rows)
        if "slice" in asked:
            number, most = asked["slice"]["id"], asked["slice"]["max"]
            first, last = last * number // most, last * (number + 1) // most
        after = asked.get("search_after", [-1])[0]
        at = max(first, after + 1)
        rows = self.rows[at:min(last, at + asked["size"])]
        total = '"total":{"value":%d,"relation":"eq"},' % (last - first) if asked["track_total_hits"] else ""
        return ('{"pit_id":"%s","took":3,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},'
                '"hits":{%s"max_score":null,"hits":[%s]}}' % (self.PIT, total, ",".join(rows)))


class ElasticsearchSql(Elasticsearch):
    def row(self, record):
        return "[%s]" % ",".join(self.value(name, record[name]) for name in sorted(record))

    def value(self, name, value):
        if name == "day":
            return '"%sT00:00:00.000Z"' % value
        return super().value(name, value)

    def answer(self, method, path, query, body, large):
        asked = json.loads(body) if body else {}
        if path == "/" or path.endswith("/close"):
            return '{"succeeded":true}' if path != "/" else super().answer(method, path, query, body, large)
        at, size = map(int, asked["cursor"].split("=")[0].split("x")) if "cursor" in asked else (0, asked["fetch_size"])
        columns = ""
        if at == 0:
            columns = '"columns":%s,' % json.dumps([{"name": name, "type": self.SQL.get(self.TYPES.get(name, "keyword"), self.TYPES.get(
                name, "keyword"))} for name in sorted(self.names)], separators=(",", ":"))
        # Theirs hold the state of the search.
        cursor = ',"cursor":"%dx%d=%s"' % (at + size, size, "n5mQBEQ0FhY2" * 60) if at + size < len(self.rows) else ""
        return '{%s"rows":[%s]%s}' % (columns, ",".join(self.rows[at:at + size]), cursor)


class Rockset(Service):
    TYPES = {"id": "int", "amount": "float", "updated_at": "timestamp", "active": "bool", "quantity": "int", "big": "int", "day": "date"}

    def row(self, record):
        number = record["id"]
        return '{"_event_time":"2024-01-02T03:04:05.123456Z","_id":"00000000-0000-4000-8000-%s",%s}' % (
            number.zfill(12), ",".join('"%s":%s' % (name, self.value(name, value)) for name, value in record.items()))

    def value(self, name, value):
        if name == "updated_at":
            return '"%s"' % zulu(value, 6)
        if name == "day":
            return '{"__rockset_type":"date","value":"%s"}' % value
        return value if name in ("id", "amount", "quantity", "big") else json.dumps(value)

    def answer(self, method, path, query, body, large):
        if method == "DELETE":
            return '{"data":{"query_id":"6a1c-1:abc","status":"CANCELLED"}}'
        if method == "GET":
            return "{%s}" % self.page(int(query["cursor"]), int(query["docs"]))
        asked = json.loads(body)
        start = '"query_id":"6a1c-1:abc","status":"COMPLETED","stats":{"elapsed_time_ms":126,"throttled_time_micros":0},'
        if asked["sql"]["query"].startswith("DESCRIBE"):
            described = [{"field": [name], "type": self.TYPES.get(name, "string")} for name in ["_event_time", "_id"] + self.names]
            return '{%s"results":%s}' % (start, json.dumps(described))
        return "{%s%s}" % (start, self.page(0, asked["max_initial_results"]))

    def page(self, at, size):
        rows = self.rows[at:at + size]
        after = '"%d"' % (at + size) if at + size < len(self.rows) else "null"
        return ('"results":[%s],"results_total_doc_count":%d,"pagination":{"start_cursor":"0","next_cursor":%s,'
                '"next_cursor_offset":null,"current_page_doc_count":%d,"next_page_link":null}' % (",".join(rows), len(self.rows), after, len(rows)))


SERVICES = {"bigquery": BigQuery, "snowflake": Snowflake, "databricks": Databricks, "google_sheets": GoogleSheets,
            "elasticsearch": Elasticsearch, "elasticsearch_sql": ElasticsearchSql, "rockset": Rockset}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        url = urlsplit(self.path)
        large = url.path.startswith("/large")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        answer = self.server.service.answer(self.command, url.path[6:] if large else url.path, query, body, large)
        status, data, headers = answer if isinstance(answer, tuple) else (200, answer, {})
        data = data if isinstance(data, bytes) else data.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = handle_any


class Server(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True


def main():
    name, file, port_file, parent = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    server = Server(("127.0.0.1", 0), Handler)
    with open(file, encoding="utf-8") as lines:
        server.service = SERVICES[name](json.loads(line, parse_int=str, parse_float=str) for line in lines)
    server.service.address = "http://127.0.0.1:%d" % server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(port_file + ".new", "w", encoding="ascii") as out:
        out.write("%d\n" % server.server_address[1])
    os.rename(port_file + ".new", port_file)
    while os.path.exists("/proc/%d" % parent):
        time.sleep(0.5)


main()
