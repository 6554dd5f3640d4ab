#!/usr/bin/env python3
"""A fake HTTP server for the tests, as strict as a real service and as broken as told.

It listens on 127.0.0.1 only, speaks HTTP/1.1 with keep-alive, and refuses what a strict server
would: bad syntax, a wrong Host (421), a wrong method (405), a body where none belongs, unknown or
repeated query parameters (400).  Errors are {"error": {"code", "message"}, "request_id"}.

CONTROL (not logged)
  POST /control/reset            forgets documents, counters, tokens and gates; empties the log
  POST /control/put?path=/x&content_type=T      the body is served as /data/x, and as set=x below
  POST /control/revoke           every OAuth token becomes invalid
  POST /control/release?gate=G&count=N          lets N requests through the gate (default: page, 1)
  GET  /control/state            accepted connections, requests, busy (being answered now),
                                 waiting (at gates), server_errors, documents, tokens

DELIVERY, understood by /files, /data, /pages, /gen and /bad
  type=T             Content-Type
  gzip=1 | force     gzip, if the client accepts it | in any case
  chunked=1          chunked instead of Content-Length
  close=1 | silent   delimited by the end of the connection; TLS: with | without close_notify
  delay=S            seconds before the head
  trickle=B          bytes of body per second
  hold=G             waits for /control/release?gate=G (as does hold_at, gate "page")

  /files/NAME        a file below --root
  /data/NAME         a document that was put; method=POST wants a POST with a JSON body; id=ANY
  /gen/{json,ndjson,csv}?rows=N&seed=S&cut_at=B
                     rows of ten columns (id, name, email, city, note, amount, updated_at, active,
                     quantity, big), the same for the same seed; cut after B bytes

PAGING of the JSON array set=NAME, size=N records a page (default 2)
  /pages/link        bare array; Link: rel=next carries after=TOKEN (a comma in it)
                     form=nasty (default: quoted commas, a decoy, several relations) | plain |
                     headers (one link a header) | relative
  /pages/cursor      {"object": "list", "data", "has_more", "next_cursor"}; cursor=TOKEN, to be
                     percent-encoded; unknown: 400.  end=null | missing | empty: the last cursor
  /pages/next_url    {"count", "next", "previous", "results"}, form=absolute | relative | query |
                     hal ({"items", "_links"}); foreign=ORIGIN: next points there; beyond: 404
  /pages/page        {"page", "per_page", "data", "total_pages"}; page=, per_page=; beyond the
                     last: an empty array; totals=0 leaves total_pages out; base=0 counts from 0
  /pages/offset      {"offset", "limit", "items", "total"}; offset=, limit=; totals=0
  all of them        fail_at=K&status=S&times=N&retry_after=R   page K fails (the first N times)
                     cut_at=K&times=N   page K is cut in the middle (the first N times)
                     repeat_at=K        from page K on the same cursor, URL or page for ever
                     cap=N              the server silently gives at most N records a page
                     lie_total=N        the total it claims (cursor: adds "total")
                     empty_at=K         page K is empty, others follow (link, cursor, next_url)
                     hold_at=K          page K waits for /control/release
                     pause=S            seconds before every page but the first
                     updated_since=T    only records whose updated_at, as text, is not below T
  /slowpages/KIND    the same with pause=0.2

MISHAPS; times=N: only the first N times, then good; set=NAME: what "good" is; id=ANY: counts apart
  /bad/4NN, /bad/5NN  that status; retry_after=TEXT, retry_date=SECONDS[.imf|.rfc850|.asctime],
                     html=1, message=TEXT
  /bad/html          200, a login page                   /bad/html_as_json  ... as application/json
  /bad/empty         200, nothing                        /bad/no_content    204
  /bad/truncated     good framing, JSON ends at=B        /bad/short_length  Content-Length too small
  /bad/cut           less than Content-Length (at=B)     /bad/rst           reset in mid body
  /bad/no_answer     closed before an answer             /bad/bad_chunk     a chunk size is not one
  /bad/no_http       garbage, then closed                /bad/stall         half a body, seconds=S
  /bad/slow_headers  a header now and then, seconds=S    /bad/huge_headers  kb=N
  /bad/redirect      to=URL, status=N                    /bad/redirect_loop
  /bad/redirect_chain  hops=N, then good                 /bad/endless       records without end
  /bad/huge          mb=N megabytes of records; one=1: in a single record
  /bad/gzip_bomb     mb=N when unpacked                  /bad/gzip_garbage  claims to be gzip
  /bad/gzip_truncated  right framing, packed bytes end at=B (default: half way)
  /bad/invalid_utf8  in record 2 of 3
  /bad/nul           \\u0000 in record 2 of 3             /bad/nul_byte      a raw zero byte
  /bad/surrogate     a lone one in record 2              /bad/bom           good after a BOM
  /bad/not_object    records 2 to 5 are no objects       /bad/missing_key   2: no id, 3: id null
  /bad/big_number    ids beyond int8, 1e400              /bad/nan           an id NaN
  /bad/duplicate_key id twice in a record                /bad/trailing      text after the array
  /bad/single_quotes not JSON                            /bad/deep          10,000 arrays
  /bad/deep_record   the same in a record's member

EVENTS
  POST /hook/NAME    takes an event: JSON with an id, which X-Event-Id and X-Event repeat; with secret=S
                     signed by X-Signature, without it not.  status=N, times=K: the first K are
                     answered with N (without times: all); to=URL: with that Location

CREDENTIALS; /auth/KIND answers two records, /auth/KIND/REST what /REST does
  /auth/basic           user etl, password p:\u00e4"\\x in UTF-8
  /auth/bearer          tok-9f3a.B~+/==
  /auth/api_key_header  X-API-Key (or header=NAME): k3y/+=&%"x
  /auth/api_key_query   api_key=, the same key
                        missing: 401; wrong: 401 (keys: 403)
  POST /oauth/token     client_credentials; client census-client, secret "s3cr:t/+=&% \u00fc", by
                        Basic (both form-encoded first, RFC 6749 2.3.1) or in the body, not both;
                        scope absent or "read".  uses=N: good for N requests; expires_in=S;
                        expires_form=number | string | missing
  /auth/oauth           a token from there, neither used up nor expired nor revoked
  /auth/echo            an error (status=N, default 403) that repeats the credentials in several
                        forms; pad=N characters before them; type=json | text

SERVICES, each from documents that were put; see fakehttp/google.py, databricks.py, snowflake.py
  /google/token         takes JWTs of a service account       /computeMetadata/v1  gives tokens
  /bigquery/v2          BigQuery                              /v4/spreadsheets     Google Sheets
  /snowflake/api/v2     Snowflake                             /databricks/api/2.0  Databricks

LOG: a line of JSON per request, written before the answer: time, connection (a number), tls,
method, target, path, query, headers (lower-case names), body_length, body, status (0: no answer).
"""

import argparse
import os
import signal
import ssl
import sys
import threading
import time

from fakehttp.auth import auth, token
from fakehttp.bad import bad
from fakehttp.content import control, data, files
from fakehttp.databricks import databricks, storage
from fakehttp.gen import generate
from fakehttp.google import SERVICES as GOOGLE
from fakehttp.hook import hook
from fakehttp.pages import pages
from fakehttp.snowflake import snowflake
from fakehttp.state import State
from fakehttp.wire import Refused, Server

ROUTES = {"files": files, "data": data, "gen": generate, "hook": hook, "pages": pages, "bad": bad,
          "slowpages": lambda request, kind: pages(request, kind, pause=0.2),
          "control": control}

SERVICES = {"databricks": databricks, "snowflake": snowflake, "storage": storage}


def route(request, path=None):
    """The answer to a request; path: what to take for its path."""
    first, _, rest = (path or request.path[1:]).partition("/")
    if first == "auth":
        kind, _, rest = rest.partition("/")
        return auth(request, kind, rest, route)
    if (first, rest) == ("oauth", "token"):
        return token(request)
    if first in GOOGLE:
        return GOOGLE[first](request, rest)
    if first in SERVICES:
        return SERVICES[first](request, rest)
    if first not in ROUTES or not rest or "/" in rest:
        raise Refused(404, "there is nothing here")
    return ROUTES[first](request, rest)


def route_control(request):
    """The plain listener beside a TLS one serves nothing but /control."""
    if not request.path.startswith("/control/"):
        raise Refused(404, "only /control is here")
    return route(request)


def tls_context(arguments):
    if not arguments.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.tls_cert, arguments.tls_key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def write_ports(file, ports):
    """Whoever sees the file sees all of it."""
    with open(file + ".tmp", "w", encoding="ascii") as out:
        out.write("".join("%d\n" % port for port in ports))
    os.rename(file + ".tmp", file)


def started(pid):
    """When a process was started, or None if it is gone or a zombie."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def watch(pid, birth, stop):
    """Ends this server with its parent, also with one that was killed."""
    while birth is not None and started(pid) == birth:
        time.sleep(0.25)
    stop.set()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 (default): any free one")
    parser.add_argument("--port-file", help="gets the port once the server listens; with TLS a "
                        "second line: a plain port for /control")
    parser.add_argument("--root", help="directory of /files")
    parser.add_argument("--log", help="one line of JSON per request")
    parser.add_argument("--tls-cert", help="PEM file; the server then speaks TLS")
    parser.add_argument("--tls-key", help="PEM file")
    parser.add_argument("--host-name", action="append", default=[],
                        help="another name to answer to, beside 127.0.0.1, localhost, *.localhost")
    parser.add_argument("--parent-pid", type=int, help="stop when that process is gone")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    birth = arguments.parent_pid and started(arguments.parent_pid)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    state = State(arguments.root, arguments.log)
    tls = tls_context(arguments)
    servers = [Server(arguments.port, state, route, arguments.host_name, tls)]
    if tls:
        servers.append(Server(0, state, route_control))
    for server in servers:
        server.run()
    ports = [server.server_address[1] for server in servers]
    if arguments.port_file:
        write_ports(arguments.port_file, ports)
    else:
        print(*ports, flush=True)
    if arguments.parent_pid:
        threading.Thread(target=watch, args=(arguments.parent_pid, birth, stop),
                         daemon=True).start()
    stop.wait()
    sys.stderr.flush()
    # Requests in flight (a stall of an hour, say) are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
