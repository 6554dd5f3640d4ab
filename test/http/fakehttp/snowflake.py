"""A fake of Snowflake's SQL API, below /snowflake; it serves what the document "snowflake" says.

The document: account, user, public_key (PEM) of a key pair; or token, token_type; context (what the
members database, schema, warehouse, role of a submission must be); statements, by their text:
  rowType, parts      the result: lists of rows
  polls=N             answers 202 so often before the result is there; busy=true: 429 in between
  error, status       what it fails with (at its end)
  submit_error, submit_status  what the submission is answered with; times: only so often
  numRows, rowCounts, code, format, handles  lies
  delay={"P": S}      part P takes S seconds
  fail={"P": {"status", "body", "retry_after", "times"}}  part P is refused (the first times)
  cut={"P": N}        part P ends after N bytes
  swap={"P": Q}       part P is what part Q is
What is no text of a statement is looked for in them as the query in SELECT ... FROM (...), and in tables, by
their names: rowType (with ci, of a collation that ignores case) and parts.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import tempfile
import time
from decimal import Decimal

from . import select
from .wire import Refused, Response

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
PARAMETERS = {"query_tag", "timezone", "multi_statement_count", "use_cached_result"}
MEMBERS = {"statement", "timeout", "database", "schema", "warehouse", "role", "bindings",
           "parameters"}


def unquoted(text):
    return re.sub(r"''|\\(.)", lambda match: match[1] or "'", text)


SQL = select.Dialect('"', [
    select.NUMBER, select.BOOLEAN, (r"'((?:[^'\\]|''|\\.)*)'", unquoted),
    (r"TO_DATE\('([^']*)', 'YYYY-MM-DD'\)", select.date),
    (r"TO_TIMESTAMP_NTZ\('([^']*)', 'YYYY-MM-DD HH24:MI:SS\.FF6'\)", select.local),
    (r"TO_TIMESTAMP_TZ\('([^']*) \+00:00', 'YYYY-MM-DD HH24:MI:SS\.FF6 TZH:TZM'\)", select.moment)])


def typed(text, column):
    kind = column["type"].lower()
    if text is None:
        return None
    if kind == "fixed":
        return Decimal(text)
    if kind == "boolean":
        return text == "true"
    if kind == "date":
        return select.Date(text)
    if kind == "text" and not column.get("extTypeName"):
        return select.Text(text) if column.get("ci") else text
    if kind.startswith("timestamp"):
        whole = int(Decimal(text.split()[0]) * 10 ** 9)
        return (select.Local if kind == "timestamp_ntz" else select.Moment)(whole)
    return select.Other()


def find_script(config, statement):
    """What the statement does; None: nobody knows it."""
    scripts = config["statements"]
    if statement in scripts or not isinstance(statement, str):
        return scripts.get(statement)
    found = {}

    def find(source):
        thing = (scripts if source[0] else config.get("tables", {})).get(source[1])
        if thing is None:
            raise select.Wrong("unknown")
        found.update(thing)
        columns = thing.get("rowType", ())
        return ([column["name"] for column in columns],
                [[(typed(text, column), text) for text, column in zip(row, columns)]
                 for part in thing.get("parts", ()) for row in part])
    try:
        wanted, rows = SQL.select(statement, find)
    except select.Wrong:
        return None
    kinds = {column["name"]: column for column in found.get("rowType", ())}
    return dict({name: found[name] for name in found if name not in ("numRows", "rowCounts")},
                rowType=[kinds[name] for name, _ in wanted], parts=[rows])


def answer(value, status=200, gzip=None, headers=()):
    response = Response(json.dumps(value).encode() if not isinstance(value, bytes) else value,
                        status, headers=headers)
    response.gzip = gzip
    return response


def problem(status, code, message, state=None, handle=None):
    body = {"code": code, "message": message}
    if state:
        body["sqlState"] = state
    if handle:
        body["statementHandle"] = handle
    return answer(body, status)


def snowflake(request, rest):
    state = request.state
    config = json.loads(state.document("snowflake")[0])
    refusal = check_headers(request, config) or check_token(request, config)
    if refusal:
        return refusal
    parts = rest.split("/")
    if parts[:3] != ["api", "v2", "statements"] or len(parts) > 5:
        return answer(b"<html>not found</html>", 404)
    if len(parts) == 3:
        return submit(request, config)
    handle = parts[3]
    with state.lock:
        known = state.services.get(handle)
    if known is None:
        return problem(400, "000709", "Statement %s not found" % handle, "02000")
    if len(parts) == 5:
        return cancel(request, handle, known, parts[4])
    return read(request, config, handle, known)


def check_headers(request, config):
    if request.headers.get("accept") != "application/json":
        return problem(406, "391902", "Unsupported Accept header")
    if "content-type" not in request.headers:
        return problem(400, "391901", "Content-Type is missing")
    if request.headers["content-type"] != "application/json":
        return problem(415, "391903", "Unsupported content type")
    if not request.headers.get("user-agent"):
        return problem(400, "391904", "User-Agent is missing")
    return None


def check_token(request, config):
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    kind = request.headers.get("x-snowflake-authorization-token-type")
    if scheme != "Bearer" or not token:
        return problem(400, "390142", "Incoming request does not contain a valid token.")
    if not config.get("public_key"):
        if kind != config["token_type"] or token != config["token"]:
            return problem(401, "390303", "Invalid OAuth access token. [c3a1]")
        return None
    if kind != "KEYPAIR_JWT" or not jwt_is_good(token, config):
        return problem(401, "390144",
                       "JWT token is invalid. [c3a1c9c0-0000-0000-0000-000000000000]")
    return None


def decode(text):
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise ValueError("not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def jwt_is_good(token, config):
    try:
        head, claims, signature = token.split(".")
        header, body = json.loads(decode(head)), json.loads(decode(claims))
        der = base64.b64decode("".join(config["public_key"].strip().splitlines()[1:-1]))
        login = "%s.%s" % (config["account"], config["user"])
        fingerprint = base64.b64encode(hashlib.sha256(der).digest()).decode()
        return (header == {"alg": "RS256", "typ": "JWT"}
                and set(body) == {"iss", "sub", "iat", "exp"}
                and body["sub"] == login
                and body["iss"] == login + ".SHA256:" + fingerprint
                and abs(body["iat"] - time.time()) < 60
                and 0 < body["exp"] - body["iat"] <= 3600
                and verify(config["public_key"], (head + "." + claims).encode(), decode(signature)))
    except (ValueError, KeyError, TypeError):
        return False


def verify(key, data, signature):
    with tempfile.TemporaryDirectory() as directory:
        for name, content in (("key", key.encode()), ("data", data), ("sig", signature)):
            with open(os.path.join(directory, name), "wb") as file:
                file.write(content)
        return subprocess.run(
            ["openssl", "dgst", "-sha256", "-verify", "key", "-signature", "sig", "data"],
            cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=False).returncode == 0


def submit(request, config):
    request.need("POST")
    request.only("requestId", "async", "nullable", "retry", "pageSize")
    identity = request.query.get("requestId", "")
    if not UUID.fullmatch(identity):
        raise Refused(400, "requestId is no UUID")
    if request.query.get("nullable", "true") != "true":
        raise Refused(400, "nullable=false would make nulls texts")
    body = json.loads(request.body)
    if set(body) - MEMBERS or set(body.get("parameters", {})) - PARAMETERS:
        return problem(400, "391908", "unknown member")
    for name in ("database", "schema", "warehouse", "role"):
        if body.get(name) != config.get("context", {}).get(name):
            return problem(422, "002043", "SQL compilation error:\nObject does not exist, or "
                           "operation cannot be performed.", "02000", "01b0-none")
    script = find_script(config, body.get("statement"))
    state = request.state
    if script is None:
        return problem(422, "002003", "SQL compilation error:\nObject 'SHOP.PUBLIC.NOPE' does not "
                       "exist or not authorized.", "42S02", "01b0-cccc")
    if "submit_error" in script and state.first_times("snowflake " + body["statement"],
                                                      script.get("times")):
        return answer(script["submit_error"], script["submit_status"])
    with state.lock:
        again = state.services.setdefault("requests", {})
        if identity in again and request.query.get("retry") != "true":
            raise Refused(400, "the same requestId without retry")
        if request.query.get("retry") == "true" and identity not in again and not script.get("times"):
            raise Refused(400, "a retry of nothing")
        handle = again.setdefault(identity, "01b0-%d" % (len(again) + 1))
        state.services.setdefault(handle, {"script": body["statement"],
                                            "left": script.get("polls", 0), "canceled": False})
        known = state.services[handle]
    if request.query.get("async") == "true" or known["left"] > 0:
        return running(handle)
    return result(script, handle)


def running(handle, status=202):
    return answer({"code": "333334", "message": "Asynchronous execution in progress. Use provided "
                   "query id to perform query monitoring and management.",
                   "statementHandle": handle,
                   "statementStatusUrl": "/api/v2/statements/" + handle}, status)


def cancel(request, handle, known, word):
    request.need("POST")
    request.only("requestId")
    if word != "cancel" or request.body:
        raise Refused(404, "there is nothing here")
    known["canceled"] = True
    return problem(200, "000604", "SQL execution canceled", "57014", handle)


def read(request, config, handle, known):
    request.need("GET")
    request.only("partition", "requestId")
    script = find_script(config, known["script"])
    if known["canceled"]:
        return problem(422, "000604", "SQL execution canceled", "57014", handle)
    if "partition" not in request.query:
        with request.state.lock:
            known["left"] -= 1
        if known["left"] >= 0:
            return running(handle, 429 if script.get("busy") and known["left"] == 1 else 202)
        return result(script, handle)
    return partition(request, script, handle)


def result(script, handle):
    if "error" in script:
        return answer(dict(script["error"], statementHandle=handle), script["status"])
    parts = script["parts"]
    counts = script.get("rowCounts", [len(part) for part in parts])
    meta = {"numRows": script.get("numRows", sum(len(part) for part in parts)),
            "format": script.get("format", "jsonv2"),
            "partitionInfo": [{"rowCount": count, "uncompressedSize": 10} for count in counts],
            "rowType": script["rowType"]}
    body = {"resultSetMetaData": meta, "data": parts[0] if parts else [],
            "code": script.get("code", "090001"), "statementHandle": handle,
            "statementStatusUrl": "/api/v2/statements/%s?requestId=9" % handle, "requestId": "9",
            "sqlState": "00000", "message": "Statement executed successfully.",
            "createdOn": 1791499231275}
    if "handles" in script:
        body["statementHandles"] = script["handles"]
    return answer(body)


def partition(request, script, handle):
    number = request.query["partition"]
    parts = script["parts"]
    if not number.isdigit() or int(number) >= len(parts):
        return problem(400, "391922", "Invalid partition parameter. The partition must be long "
                       "type parsable and between 0 and %d, but '%s' is specified."
                       % (len(parts) - 1, number), "22023", handle)
    fail = script.get("fail", {}).get(number)
    if fail and request.state.first_times("part %s %s" % (handle, number), fail.get("times")):
        headers = [("Retry-After", fail["retry_after"])] if "retry_after" in fail else []
        return answer(fail["body"], fail["status"], headers=headers)
    number = str(script.get("swap", {}).get(number, number))
    response = answer({"data": parts[int(number)]}, gzip="force")
    response.delay = script.get("delay", {}).get(number, 0)
    if number in script.get("cut", {}):
        response.gzip, response.cut = None, script["cut"][number]
    return response
