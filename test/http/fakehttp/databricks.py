"""A fake of Databricks' statement execution, Unity Catalog and storage, below /databricks and
/storage; it serves what the document "databricks" says.

The document: token, or client_id and client_secret; warehouse; catalog, schema (what a submission
must say); uses=N: tokens of the principal are good for N requests; storage (host:port of links);
tables, a list of pages of them; statements, by their text:
  columns, chunks     the result: lists of rows
  polls=N             is pending so often before
  state, error, sql_state   how it ends
  total, counts, truncated, format  lies
  delay={"C": S}      chunk C takes S seconds
  expired={"C": N}    the first N links to chunk C lead to nothing
  fail={"C": {"status", "body", "retry_after", "times"}}  chunk C is refused (the first times)
  cut={"C": N}, swap={"C": D}, headers  of links
What is no text of a statement is looked for in them as the query in SELECT ... FROM (...), and in objects, by
their names: columns and chunks, moments with all their digits, which are cut off unless they are asked for.
"""

import base64
import json
import re
from decimal import Decimal
from urllib.parse import parse_qs

from . import select
from .wire import Refused, Response

MEMBERS = {"warehouse_id", "statement", "catalog", "schema", "wait_timeout", "on_wait_timeout",
           "disposition", "format", "row_limit", "byte_limit", "parameters", "query_tags"}
WAIT = re.compile(r"0s|[5-9]s|[1-4][0-9]s|50s")


def unescaped(text):
    return re.sub(r"\\u([0-9a-f]{4})|\\(.)", lambda m: chr(int(m[1], 16)) if m[1] else m[2],
                  re.sub(r"\$\{[^}]*\}", "", text))


SQL = select.Dialect("`", [
    select.NUMBER, select.BOOLEAN, (r"'((?:[^'\\]|\\u[0-9a-f]{4}|\\.)*)'(?!')", unescaped),
    (r"DATE '([^']*)'", select.date), (r"TIMESTAMP_NTZ '([^'+Z]*)'", select.local),
    (r"TIMESTAMP '([^']*)\+00:00'", select.moment)])


def typed(text, kind):
    if text is None:
        return None
    if kind in ("INT", "LONG", "SHORT", "DECIMAL"):
        return Decimal(text)
    if kind == "BOOLEAN":
        return text == "true"
    if kind == "DATE":
        return select.date(text)
    if kind in ("STRING", "CHAR"):
        return text
    if kind in ("TIMESTAMP", "TIMESTAMP_NTZ"):
        return (select.moment if kind == "TIMESTAMP" else select.local)(text.rstrip("Z"))
    return select.Other()


def sent(text, kind, expression):
    """What comes of a cell, and of which type: what is asked for, or less."""
    moment = kind in ("TIMESTAMP", "TIMESTAMP_NTZ")
    if expression and expression.startswith("unix_micros(") and kind == "TIMESTAMP":
        return text and str(typed(text, kind) // 1000), "LONG"
    if expression and re.fullmatch(r"CAST\(.* AS STRING\)", expression) and kind == "TIMESTAMP_NTZ":
        return text and text.replace("T", " "), "STRING"
    if expression and not expression.startswith("to_json("):
        raise select.Wrong("unknown expression " + expression)
    if text and moment:
        return re.sub(r"(\.\d{3})\d+", r"\1", text), kind
    return text, "STRING" if expression else kind


def cut_off(script):
    if "chunks" not in script:
        return script
    kinds = [column["type_name"] for column in script["columns"]]
    return dict(script, chunks=[[[sent(text, kind, None)[0] for text, kind in zip(row, kinds)] + row[len(kinds):]
                                 for row in rows] for rows in script["chunks"]])


def find_script(config, statement):
    """What the statement does; None: nobody knows it."""
    scripts = config["statements"]
    if not isinstance(statement, str):
        return None
    if statement in scripts:
        return cut_off(scripts[statement])
    found = {}

    def find(source):
        thing = (scripts if source[0] else config.get("objects", {})).get(source[1])
        if thing is None:
            raise select.Wrong("unknown")
        found.update(thing)
        kinds = [column["type_name"] for column in thing.get("columns", ())]
        return ([column["name"] for column in thing.get("columns", ())],
                [[(typed(text, kind), text) for text, kind in zip(row, kinds)]
                 for rows in thing.get("chunks", ()) for row in rows])
    try:
        wanted, rows = SQL.select(statement, find)
        columns = {column["name"]: column for column in found.get("columns", ())}
        kinds = [(columns[name]["type_name"], expression) for name, expression in wanted]
        rows = [[sent(text, *kind)[0] for text, kind in zip(row, kinds)] for row in rows]
        return dict({name: found[name] for name in found if name not in ("total", "counts")},
                    columns=[dict(columns[name], type_name=sent(None, *kind)[1])
                             for (name, _), kind in zip(wanted, kinds)], chunks=[rows] if rows else [])
    except select.Wrong:
        return None


def answer(value, status=200, headers=()):
    return Response(json.dumps(value).encode(), status, headers=headers)


def problem(status, code, message):
    return answer({"error_code": code, "message": message}, status)


def databricks(request, rest):
    config = json.loads(request.state.document("databricks")[0])
    if rest == "oidc/v1/token":
        return principal(request, config)
    refusal = check_token(request, config)
    if refusal:
        return refusal
    if rest == "api/2.1/unity-catalog/tables":
        return tables(request, config)
    parts = rest.split("/")
    if parts[:4] != ["api", "2.0", "sql", "statements"]:
        return problem(404, "ENDPOINT_NOT_FOUND", "No API found for '%s'" % rest)
    if len(parts) == 4:
        return submit(request, config)
    with request.state.lock:
        known = request.state.services.get(parts[4])
    if known is None:
        return problem(404, "NOT_FOUND", "The statement %s was not found." % parts[4])
    script = find_script(config, known["statement"])
    if len(parts) == 5:
        request.need("GET")
        return status_of(request, config, parts[4], script, known)
    if parts[5:] == ["cancel"]:
        request.need("POST")
        known["canceled"] = True
        return answer({})
    if parts[5:7] == ["result", "chunks"] and len(parts) == 8:
        request.need("GET")
        return chunk(request, config, parts[4], script, known, parts[7])
    return problem(404, "ENDPOINT_NOT_FOUND", "No API found")


def principal(request, config):
    request.need("POST")
    expected = "Basic " + base64.b64encode(
        ("%s:%s" % (config.get("client_id"), config.get("client_secret"))).encode()).decode()
    form = parse_qs(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    if request.headers.get("authorization") != expected:
        return answer({"error": "invalid_client", "error_description": "Client authentication failed"}, 401)
    if form != {"grant_type": ["client_credentials"], "scope": ["all-apis"]} or \
            request.headers.get("content-type") != "application/x-www-form-urlencoded":
        return answer({"error": "invalid_request"}, 400)
    return answer({"access_token": request.state.issue(config.get("uses"), 3600),
                   "token_type": "Bearer", "expires_in": 3600})


def check_token(request, config):
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if "client_id" in config:
        good = scheme == "Bearer" and request.state.use(token)
        return None if good else problem(401, 401, "Token is expired")
    if scheme != "Bearer" or token != config["token"]:
        return problem(403, 403, "Invalid access token. [ReqId: 1c9d0000-0000-0000-0000-000000000000]")
    return None


def tables(request, config):
    request.need("GET")
    request.only("catalog_name", "schema_name", "max_results", "page_token")
    if (request.query.get("catalog_name"), request.query.get("schema_name")) != ("main", "shop"):
        return problem(404, "SCHEMA_DOES_NOT_EXIST", "Schema does not exist.")
    page = int(request.query.get("page_token", "p0 +/=")[1:].split()[0])
    body = {"tables": config["tables"][page]} if config["tables"][page] else {}
    if page + 1 < len(config["tables"]):
        body["next_page_token"] = "p%d +/=" % (page + 1)
    return answer(body)


def submit(request, config):
    request.need("POST")
    request.only()
    if request.headers.get("content-type") != "application/json":
        return problem(400, "MALFORMED_REQUEST", "Content-Type")
    body = json.loads(request.body)
    if set(body) - MEMBERS or not WAIT.fullmatch(body.get("wait_timeout", "10s")):
        return problem(400, "INVALID_PARAMETER_VALUE", "unknown member or wait_timeout")
    if body.get("on_wait_timeout", "CONTINUE") != "CONTINUE" or body.get("format") != "JSON_ARRAY" \
            or body.get("disposition") not in ("INLINE", "EXTERNAL_LINKS"):
        return problem(400, "INVALID_PARAMETER_VALUE", "disposition, format or on_wait_timeout")
    if body.get("warehouse_id") != config["warehouse"]:
        return problem(403, "PERMISSION_DENIED", "You do not have permission to use the SQL Warehouse.")
    if body.get("catalog") != config.get("catalog") or body.get("schema") != config.get("schema"):
        return problem(400, "INVALID_PARAMETER_VALUE", "catalog or schema")
    statement = body.get("statement")
    state = request.state
    script = find_script(config, statement)
    if script is None:
        script = config["statements"][statement] = {
            "state": "FAILED", "sql_state": "42P01", "error": {
                "error_code": "BAD_REQUEST",
                "message": "[TABLE_OR_VIEW_NOT_FOUND] The table or view `main`.`shop`.`nope` cannot "
                "be found. SQLSTATE: 42P01"}}
        return answer({"statement_id": "01ee-dddd", "status": {
            "state": "FAILED", "error": script["error"], "sql_state": "42P01"}})
    if script.get("throttle") and state.first_times("submit " + statement, script["throttle"]):
        return answer({"error_code": "REQUEST_LIMIT_EXCEEDED",
                       "message": "Too many requests. Please wait a moment and try again."}, 429,
                      [("Retry-After", "1")])
    with state.lock:
        state.issued += 1
        identity = "01ee-%d" % state.issued
        state.services[identity] = known = {
            "statement": statement, "left": script.get("polls", 0), "canceled": False,
            "external": body["disposition"] == "EXTERNAL_LINKS"}
    if body.get("wait_timeout") == "0s" and not script.get("at_once"):
        return answer({"statement_id": identity, "status": {"state": "PENDING"}})
    return status_of(request, config, identity, script, known)


def status_of(request, config, identity, script, known):
    if known["canceled"]:
        return answer({"statement_id": identity, "status": {"state": "CANCELED"}})
    known["left"] -= 1
    if known["left"] >= 0:
        return answer({"statement_id": identity, "status": {"state": "RUNNING"}})
    state = script.get("state", "SUCCEEDED")
    if state != "SUCCEEDED":
        status = {"state": state}
        for name in ("error", "sql_state"):
            if name in script:
                status[name] = script[name]
        return answer({"statement_id": identity, "status": status})
    chunks = script["chunks"]
    counts = script.get("counts", [len(rows) for rows in chunks])
    manifest = {"format": script.get("format", "JSON_ARRAY"),
                "schema": {"column_count": len(script["columns"]), "columns": script["columns"]},
                "total_chunk_count": len(chunks),
                "total_row_count": script.get("total", sum(len(rows) for rows in chunks)),
                "truncated": script.get("truncated", False)}
    result = {}
    if chunks:
        offsets = [sum(counts[:i]) for i in range(len(chunks))]
        manifest["chunks"] = [{"chunk_index": i, "row_offset": offsets[i], "row_count": counts[i]}
                              for i in range(len(chunks))]
        result = chunk_data(request, config, identity, script, known, 0)
    return answer({"statement_id": identity, "status": {"state": "SUCCEEDED"},
                   "manifest": manifest, "result": result})


def chunk_data(request, config, identity, script, known, number):
    rows = script["chunks"][script.get("swap", {}).get(str(number), number)]
    data = {"chunk_index": number, "row_offset": 0, "row_count": len(rows)}
    if number + 1 < len(script["chunks"]):
        data["next_chunk_index"] = number + 1
        data["next_chunk_internal_link"] = \
            "/api/2.0/sql/statements/%s/result/chunks/%d?row_offset=2" % (identity, number + 1)
    if not known["external"]:
        data["data_array"] = rows
        return data
    with request.state.lock:
        request.state.issued += 1
        mint = request.state.issued
        request.state.services["link %d" % mint] = (identity, number)
    data.update({"external_link": "%s/storage/x/%s/%d?X-Amz-Signature=signed-secret-%d"
                 % (config["storage"], identity, number, mint),
                 "expiration": "2024-01-02T03:19:05.000Z"})
    if "headers" in script:
        data["http_headers"] = script["headers"]
    return {"external_links": [data]}


def chunk(request, config, identity, script, known, number):
    if not number.isdigit() or int(number) >= len(script["chunks"]):
        return problem(400, "INVALID_PARAMETER_VALUE", "chunk index %s is out of range" % number)
    fail = script.get("fail", {}).get(number)
    if fail and request.state.first_times("chunk %s %s" % (identity, number), fail.get("times")):
        headers = [("Retry-After", fail["retry_after"])] if "retry_after" in fail else []
        return answer(fail["body"], fail["status"], headers)
    response = answer(chunk_data(request, config, identity, script, known, int(number)))
    if number in script.get("cut", {}) and not known["external"]:
        response.cut = script["cut"][number]
    return response


def storage(request, rest):
    config = json.loads(request.state.document("databricks")[0])
    request.need("GET")
    request.only("X-Amz-Signature")
    if "authorization" in request.headers or "cookie" in request.headers:
        return Response(b"<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism "
                        b"allowed</Message></Error>", 400, "application/xml")
    _, identity, number = rest.split("/")
    mint = request.query.get("X-Amz-Signature", "").rpartition("-")[2]
    if request.state.services.get("link " + mint) != (identity, int(number)):
        raise Refused(403, "the signature does not match")
    script = find_script(config, request.state.services[identity]["statement"])
    for name, value in script.get("headers", {}).items():
        if request.headers.get(name) != value:
            raise Refused(400, "a header of the link is missing")
    if request.state.first_times("expired %s %s" % (identity, number),
                                 script.get("expired", {}).get(number, 0)):
        return Response(b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
                        403, "application/xml")
    rows = script["chunks"][script.get("swap", {}).get(number, int(number))]
    response = Response(json.dumps(rows, separators=(",", ":")).encode(), type="application/octet-stream")
    response.delay = script.get("delay", {}).get(number, 0)
    if number in script.get("cut", {}):
        response.cut = script["cut"][number]
    return response
