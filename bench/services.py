"""Rows of a file of NDJSON as services send them: services.py FILE PORT_FILE PARENT_PID

/bigquery/v2 answers as BigQuery does: pretty-printed, 100,000 rows a page, whatever the table is.
"""
import json
import os
import re
import socketserver
import sys
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer

PAGE = 100000
TYPES = {"id": "INTEGER", "amount": "NUMERIC", "updated_at": "TIMESTAMP", "active": "BOOLEAN", "quantity": "INTEGER", "big": "INTEGER"}


def cell(name, value):
    """The value's text; numbers come as text already."""
    if name == "updated_at":
        moment = datetime.fromisoformat(value).astimezone(timezone.utc)
        return str(int(moment.timestamp()) * 1000000 + moment.microsecond)
    return str(value).lower() if isinstance(value, bool) else value


def bigquery_pages(file):
    rows = []
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line, parse_int=str, parse_float=str)
            rows.append("".join(("    {\n      \"f\": [\n", ",\n".join(
                "        {\n          \"v\": %s\n        }" % json.dumps(cell(name, value)) for name, value in record.items()),
                "\n      ]\n    }")))
    names = list(record)
    pages = []
    for start in range(0, len(rows), PAGE):
        token = "" if start + PAGE >= len(rows) else "  \"pageToken\": \"%d\",\n" % (len(pages) + 1)
        pages.append(("{\n  \"kind\": \"bigquery#tableDataList\",\n  \"totalRows\": \"%d\",\n%s  \"rows\": [\n%s\n  ]\n}\n" % (
            len(rows), token, ",\n".join(rows[start:start + PAGE]))).encode())
    schema = {"fields": [{"name": name, "type": TYPES.get(name, "STRING")} for name in names]}
    return json.dumps({"type": "TABLE", "schema": schema}).encode(), pages


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        table, pages = self.server.bigquery
        page = re.search(r"/data\?.*?(?:&pageToken=([0-9]+))?$", self.path)
        body = pages[int(page[1] or 0)] if page else table
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True


def main():
    file, port_file, parent = sys.argv[1], sys.argv[2], int(sys.argv[3])
    server = Server(("127.0.0.1", 0), Handler)
    server.bigquery = bigquery_pages(file)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(port_file + ".new", "w", encoding="ascii") as out:
        out.write("%d\n" % server.server_address[1])
    os.rename(port_file + ".new", port_file)
    while os.path.exists("/proc/%d" % parent):
        time.sleep(0.5)


main()
