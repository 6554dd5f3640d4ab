"""BigQuery v2, Sheets v4, their token endpoint and the metadata server, as strict as their documents.

Documents, put by the test, say what there is: /google.pem is the public key of the service account;
/bigquery is {"tables": {"dataset.table": {...}}, "queries": {"text": {...}}}, /sheets {"id", "tabs"}.
"""

import base64
import json
import re
import subprocess
import tempfile
import time
from decimal import Decimal
from urllib.parse import parse_qsl

from . import select
from .wire import Refused, Response, json_response

ACCOUNT = "etl@acme.iam.gserviceaccount.com"
SCOPES = {"https://www.googleapis.com/auth/bigquery",
          "https://www.googleapis.com/auth/spreadsheets.readonly"}
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Answer(Exception):
    """An answer found in the midst of things."""

    def __init__(self, response):
        super().__init__()
        self.response = response


def refuse(status, reason, message, name="INVALID_ARGUMENT", **more):
    error = {"message": message, "domain": "global", "reason": reason, **more}
    raise Answer(json_response({"error": {"code": status, "message": message, "errors": [error],
                                          "status": name}}, status))


def answering(function):
    def wrapped(request, *rest):
        try:
            return function(request, *rest)
        except Answer as answer:
            return answer.response
    return wrapped


def document(request, name):
    return json.loads(request.state.document(name)[0])


def pretty(value, backwards=False):
    if backwards:
        value = reverse(value)
    return Response(json.dumps(value, indent=2).encode() + b"\n", type="application/json; charset=UTF-8")


def reverse(value):
    if isinstance(value, dict):
        return {name: value[name] for name in reversed(value)}
    return value


def bearer(request):
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme == "":
        refuse(403 if request.path.startswith("/v4/") else 401, "required", "Login Required.",
               "PERMISSION_DENIED" if request.path.startswith("/v4/") else "UNAUTHENTICATED")
    if scheme != "Bearer" or not (token == "given-4cc3ss-t0ken" or request.state.use(token)):
        refuse(401, "authError", "Request had invalid authentication credentials.", "UNAUTHENTICATED")
    if "gzip" not in request.headers.get("user-agent", "") or "gzip" not in request.headers.get("accept-encoding", ""):
        raise Refused(400, "gzip is not asked for as it must be")


# -- tokens

def unbase64(text):
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise ValueError("no base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signature_is_good(pem, signed, signature):
    with tempfile.TemporaryDirectory() as directory:
        for name, content in (("key", pem), ("text", signed), ("signature", signature)):
            with open(directory + "/" + name, "wb") as file:
                file.write(content)
        return subprocess.run(["openssl", "dgst", "-sha256", "-verify", directory + "/key", "-signature",
                               directory + "/signature", directory + "/text"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def bad_grant(description):
    return json_response({"error": "invalid_grant", "error_description": description}, 400)


def check_assertion(request, assertion):
    """None if it is what it should be, else why not."""
    header, claims, signature = assertion.split(".")
    if json.loads(unbase64(header)) != {"alg": "RS256", "typ": "JWT", "kid": "key-1"}:
        return "Invalid JWT header."
    if not signature_is_good(request.state.document("google.pem")[0], (header + "." + claims).encode(),
                             unbase64(signature)):
        return "Invalid JWT Signature."
    claims = json.loads(unbase64(claims))
    if set(claims) != {"iss", "scope", "aud", "iat", "exp"} or claims["iss"] != ACCOUNT:
        return "Invalid JWT: claims."
    if claims["scope"] not in SCOPES or claims["aud"] != request.origin + request.path:
        return "Invalid JWT: scope or audience."
    if abs(claims["iat"] - time.time()) > 300 or not 0 < claims["exp"] - claims["iat"] <= 3600:
        return "Invalid JWT: times."
    return None


def google_token(request, _):
    request.need("POST")
    request.only()
    if request.headers.get("content-type") != "application/x-www-form-urlencoded":
        raise Refused(415, "a form is expected")
    form = dict(parse_qsl(request.body.decode("ascii"), strict_parsing=True))
    if set(form) != {"grant_type", "assertion"} or form["grant_type"] != GRANT:
        return json_response({"error": "unsupported_grant_type"}, 400)
    try:
        why = check_assertion(request, form["assertion"])
    except (ValueError, KeyError):
        why = "Bad Request"
    if why:
        return bad_grant(why)
    try:
        life = document(request, "token_life")
    except Refused:
        life = 3599
    return json_response({"access_token": request.state.issue(None, float(life)), "expires_in": life,
                          "token_type": "Bearer"})


def metadata(request, rest):
    request.need("GET")
    if request.headers.get("metadata-flavor") != "Google":
        raise Refused(403, "Metadata-Flavor is missing")
    flavor = [("Metadata-Flavor", "Google")]
    if rest == "v1/project/project-id":
        return Response(b"acme", type="application/text", headers=flavor)
    if rest != "v1/instance/service-accounts/default/token":
        raise Refused(404, "there is nothing here")
    request.only("scopes")
    if request.query.get("scopes") not in SCOPES:
        raise Refused(400, "unknown scope")
    return json_response({"access_token": request.state.issue(None, None), "expires_in": 3599,
                          "token_type": "Bearer"}, headers=flavor)


# -- BigQuery

PAGE = {"maxResults", "pageToken", "location", "timeoutMs", "fields", "formatOptions.useInt64Timestamp"}
BODY = {"query", "useLegacySql", "timeoutMs", "maxResults", "location", "defaultDataset", "dryRun", "requestId",
        "formatOptions", "labels", "maximumBytesBilled", "jobCreationMode"}


def bq_unescaped(text):
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), text)


SQL = select.Dialect("`", [
    (r"(-?\d+)(?![\w.'])", Decimal), select.BOOLEAN, (r"'((?:[^'\\\n\r]|\\.)*)'(?!')", bq_unescaped),
    (r"NUMERIC '(-?\d{1,29}(?:\.\d{1,9})?)'", Decimal), (r"BIGNUMERIC '(-?\d{1,38}(?:\.\d{1,38})?)'", Decimal),
    (r"DATE '([^']*)'", select.date), (r"DATETIME '([^'+Z]*)'", select.local),
    (r"TIMESTAMP '([^']*)\+00:00'", select.moment)])


def bq_typed(cell, field):
    value, kind = cell["v"], field["type"]
    if value is None:
        return None
    if field.get("mode") == "REPEATED":
        return select.Other()
    if kind in ("INTEGER", "NUMERIC", "BIGNUMERIC"):
        return Decimal(value)
    if kind == "BOOLEAN":
        return value == "true"
    if kind == "STRING":
        return value
    if kind == "DATE":
        return select.date(value)
    if kind == "DATETIME":
        return select.local(value)
    if kind == "TIMESTAMP" and not field.get("timestampPrecision"):
        return select.Moment(int(value) * 1000)
    return select.Other()


def bq_find(world, statement):
    """What the statement does; None: nobody knows it."""
    if statement in world["queries"]:
        return world["queries"][statement]
    found = {}

    def find(source):
        name = source[1] if source[0] else source[1].strip("`").partition(".")[2]
        thing = world["queries" if source[0] else "tables"].get(name)
        if thing is None:
            raise select.Wrong("unknown")
        found.update(thing)
        # Rows that were streamed a moment ago are not listed.
        rows = thing.get("rows", []) + thing.get("streamed", [])
        fields = thing.get("schema", {}).get("fields", [])
        return ([field["name"] for field in fields],
                [[(bq_typed(cell, field), cell) for cell, field in zip(row["f"], fields)] for row in rows])
    try:
        wanted, rows = SQL.select(statement, find)
    except select.Wrong:
        return None
    fields = {field["name"]: field for field in found["schema"]["fields"]}
    found.update(schema={"fields": [fields[name] for name, _ in wanted]}, rows=[{"f": row} for row in rows])
    found.pop("type", None)
    return found


@answering
def bigquery(request, rest):
    bearer(request)
    world = document(request, "bigquery")
    parts = rest.split("/")
    if parts[:2] != ["v2", "projects"] or len(parts) < 4:
        return Response(b"<!DOCTYPE html><title>Error 404</title>", 404, "text/html")
    project, parts = parts[2], parts[3:]
    if project != world.get("project", "acme"):
        refuse(404, "notFound", "Not found: Project " + project, "NOT_FOUND")
    if parts == ["queries"]:
        return bq_submit(request, world)
    if parts[0] == "queries" and len(parts) == 2:
        return bq_result(request, world, parts[1])
    if parts[0] == "jobs" and len(parts) == 3 and parts[2] == "cancel":
        return bq_cancel(request, world, parts[1])
    if parts[0] == "datasets" and parts[2:3] == ["tables"]:
        return bq_tables(request, world, parts[1], parts[3:])
    return Response(b"<!DOCTYPE html><title>Error 404</title>", 404, "text/html")


def next_failure(request, key, failures):
    """The failures of a list come one after the other, each once."""
    for i, failure in enumerate(failures or ()):
        if request.state.first_times("%s %s %d" % (request.path.split("/")[1], key, i), 1):
            raise Answer(Response(failure["html"].encode(), failure["status"], "text/html",
                                  failure.get("headers", {}).items()) if "html" in failure else
                         json_response(failure["body"], failure["status"], failure.get("headers", {}).items()))


def bq_submit(request, world):
    request.need("POST")
    request.only()
    if request.headers.get("content-type") != "application/json":
        raise Refused(415, "JSON is expected")
    body = json.loads(request.body)
    if set(body) - BODY or body.get("useLegacySql") is not False or not isinstance(body.get("query"), str):
        refuse(400, "invalid", "unexpected body: " + ", ".join(sorted(body)))
    if body.get("dryRun"):
        known = bq_find(world, body["query"])
        return pretty({"kind": "bigquery#queryResponse", "schema": known["schema"] if known else {"fields": []},
                       "totalBytesProcessed": "0",
                       "jobReference": {"projectId": "acme", "location": "EU"}, "jobComplete": True})
    if body.get("formatOptions") != {"useInt64Timestamp": True} or not isinstance(body.get("timeoutMs"), int):
        refuse(400, "invalid", "formatOptions")
    if not re.fullmatch(r"[0-9a-f-]{1,36}", body.get("requestId", "")):
        refuse(400, "invalid", "requestId")
    if body.get("location", "EU") != "EU":
        refuse(404, "notFound", "Not found: Dataset acme:shop was not found in location " + body["location"], "NOT_FOUND")
    query = bq_find(world, body["query"])
    if query is None:
        refuse(400, "invalidQuery", "Syntax error: unknown query at [1:1]", location="q", locationType="parameter")
    job = "job_" + base64.b32encode(body["query"].encode()).decode().rstrip("=")
    next_failure(request, body["query"], query.get("fail"))
    answer = {"kind": "bigquery#queryResponse",
              "jobReference": {"projectId": "acme", "jobId": job, "location": "EU"},
              "jobCreationReason": {"code": "REQUESTED"}, "queryId": job, "location": "EU",
              "jobComplete": False, "statementType": query.get("type", "SELECT")}
    if not query.get("polls"):
        answer.update(jobComplete=True, schema=query.get("schema"))
        if "rows" in query:
            answer.update(totalRows=str(query.get("total", len(query["rows"]))), pageToken="first")
            if body.get("maxResults") != 0:
                answer["rows"] = query["rows"]
    return pretty(answer, query.get("backwards"))


def bq_query_of(request, world, job):
    text = base64.b32decode(job[4:] + "=" * (-len(job[4:]) % 8)).decode()
    query = bq_find(world, text)
    if query is None or request.query.get("location") != "EU":
        refuse(404, "notFound", "Not found: Job acme:" + job, "NOT_FOUND")
    return text, query


def bq_result(request, world, job):
    request.need("GET")
    request.only(*PAGE)
    text, query = bq_query_of(request, world, job)
    if request.query.get("formatOptions.useInt64Timestamp") != "true":
        refuse(400, "invalid", "formatOptions must be repeated")
    answer = {"kind": "bigquery#getQueryResultsResponse", "etag": "aaa==",
              "jobReference": {"projectId": "acme", "jobId": job, "location": "EU"}, "jobComplete": False}
    if request.query.get("maxResults") == "0":
        next_failure(request, "poll " + text, query.get("poll_fail"))
        if request.state.first_times("polls " + text, query.get("polls", 0)):
            if query.get("hold"):
                response = pretty(answer)
                response.hold = query["hold"]
                return response
            return pretty(answer)
        answer.update(jobComplete=True, schema=query["schema"],
                      totalRows=str(query.get("total", len(query["rows"]))))
        return pretty(answer, query.get("backwards"))
    answer.update(jobComplete=True)
    return bq_page(request, text, query, answer)


def bq_page(request, key, thing, answer):
    rows, size = thing["rows"], min(thing.get("page", 1000), request.number("maxResults", 10**6))
    token = request.query.get("pageToken")
    start = 0
    if token is not None:
        if not token.startswith("BFMVX+/") or not token.endswith("=="):
            refuse(400, "invalid", "Invalid paging token")
        start = int(token[7:-2])
    number = start // size + 1
    next_failure(request, "page %d %s" % (number, key), thing.get("page_fail", {}).get(str(number)))
    answer["totalRows"] = str(thing.get("totals", {}).get(str(number), thing.get("total", len(rows))))
    if start + size < len(rows):
        answer["pageToken"] = "BFMVX+/%d==" % (start if thing.get("repeat") == number else start + size)
    if rows:
        answer["rows"] = rows[start:start + size]
    if "fields" in request.query:
        answer = {name: answer[name] for name in answer if name in request.query["fields"].split(",")}
    response = pretty(answer, thing.get("backwards"))
    if thing.get("cut") == number:
        response.cut = "half"
    if thing.get("gzip"):
        response.gzip = "1"
    return response


def bq_cancel(request, world, job):
    request.need("POST")
    request.only("location")
    if request.body:
        refuse(400, "invalid", "cancel has no body")
    bq_query_of(request, world, job)
    return pretty({"kind": "bigquery#jobCancelResponse", "job": {"status": {"state": "RUNNING"}}})


def bq_tables(request, world, dataset, rest):
    request.need("GET")
    names = sorted(name for name in world["tables"] if name.startswith(dataset + "."))
    if not names:
        refuse(404, "notFound", "Not found: Dataset acme:" + dataset, "NOT_FOUND")
    if not rest:
        return bq_list(request, names)
    table = world["tables"].get(dataset + "." + rest[0])
    if table is None:
        refuse(404, "notFound", "Not found: Table acme:%s.%s" % (dataset, rest[0]), "NOT_FOUND")
    next_failure(request, "table " + rest[0], table.get("fail"))
    if len(rest) == 1:
        request.only()
        return pretty({"kind": "bigquery#table", "schema": table["schema"], "type": table.get("type", "TABLE"),
                       "numRows": "7", "location": "EU"})
    if rest[1:] != ["data"] or table.get("type", "TABLE") != "TABLE":
        refuse(400, "invalid", "Cannot list a table of type VIEW.")
    request.only("maxResults", "pageToken", "selectedFields", "formatOptions.useInt64Timestamp")
    if request.query.get("formatOptions.useInt64Timestamp") != "true":
        refuse(400, "invalid", "formatOptions must be repeated")
    selected = request.query["selectedFields"].split(",")
    fields = [field["name"] for field in table["schema"]["fields"]]
    at = [i for i, name in enumerate(fields) if name in selected]
    if len(at) != len(selected):
        refuse(400, "invalid", "No such field")
    table["rows"] = [{"f": [row["f"][i] for i in at]} for row in table["rows"]]
    return bq_page(request, rest[0], table, {"kind": "bigquery#tableDataList", "etag": "x"})


def bq_list(request, names):
    request.only("maxResults", "pageToken")
    start = int(request.query.get("pageToken", "tbl_0")[4:])
    answer = {"kind": "bigquery#tableList", "etag": "y", "totalItems": len(names)}
    if start + 2 < len(names):
        answer["nextPageToken"] = "tbl_%d" % (start + 2)
    tables = [{"kind": "bigquery#table", "id": "acme:" + name, "type": "TABLE", "tableReference":
               dict(zip(("projectId", "datasetId", "tableId"), ("acme", *name.split("."))))}
              for name in names[start:start + 2]]
    if tables:
        answer["tables"] = tables
    return pretty(answer)


# -- Sheets

def gs_refuse(status, name, message, **more):
    raise Answer(json_response({"error": {"code": status, "message": message, "status": name, **more}}, status))


def gs_column(letters):
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number


def gs_letters(number):
    letters = ""
    while number > 0:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def gs_values(sheets, text, render):
    """A ValueRange of 'Title'!A1:B2 or 'Title'!3:3."""
    match = re.fullmatch(r"'((?:[^']|'')+)'!(?:([A-Z]+)([0-9]+):([A-Z]+)([0-9]+)|([0-9]+):\6)", text)
    tab = match and sheets["tabs"].get(match[1].replace("''", "'"))
    if not tab:
        gs_refuse(400, "INVALID_ARGUMENT", "Unable to parse range: " + text)
    rows, columns = tab.get("rows", 1000), tab.get("columns", 26)
    first, last = (int(match[3]), int(match[5])) if match[2] else (int(match[6]),) * 2
    left, right = (gs_column(match[2]), gs_column(match[4])) if match[2] else (1, columns)
    if first > rows or left > columns:
        gs_refuse(400, "INVALID_ARGUMENT", "Range (%s) exceeds grid limits. Max rows: %d, max columns: %d"
                  % (text, rows, columns))
    last, right = min(last, rows), min(right, columns)
    title = match[1] if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", match[1]) else "'%s'" % match[1]
    echo = "%s%d:%s%d" % (gs_letters(left), first, gs_letters(right), last)
    if (left, first) == (right, last):
        echo = "%s%d" % (gs_letters(left), first)
    values = [trim(row[left - 1:right]) for row in tab["values"][first - 1:last]]
    if render == "FORMATTED_VALUE":
        values = [[formatted(value) for value in row] for row in values]
    while values and not values[-1]:
        values.pop()
    answer = {"range": "%s!%s" % (title, echo), "majorDimension": "ROWS"}
    if values:
        answer["values"] = values
    return answer


def trim(row):
    row = list(row)
    while row and row[-1] == "":
        row.pop()
    return row


def formatted(value):
    return str(value).upper() if isinstance(value, bool) else str(value)


@answering
def sheets(request, rest):
    bearer(request)
    request.need("GET")
    world = document(request, "sheets")
    parts = rest.split("/")
    if parts[0] != "spreadsheets" or len(parts) < 2 or parts[1].partition(":")[0] != world["id"]:
        gs_refuse(404, "NOT_FOUND", "Requested entity was not found.")
    next_failure(request, "/".join(parts[2:]), world.get("fail", {}).get("/".join(parts[2:3])))
    render = request.query.get("valueRenderOption", "FORMATTED_VALUE")
    if len(parts) >= 4 and parts[2] == "values":
        request.only("majorDimension", "valueRenderOption", "dateTimeRenderOption")
        answer = pretty(gs_values(world, "/".join(parts[3:]), render), world.get("backwards"))
        if world.get("cut"):
            answer.cut = "half"
        return answer
    if len(parts) == 3 and parts[2] == "values:batchGet":
        return pretty({"spreadsheetId": world["id"],
                       "valueRanges": [gs_values(world, text, render) for text in request.query["ranges"]]})
    if len(parts) == 2 and "ranges" in request.query:
        return pretty(world["formats"])
    if len(parts) == 2 and request.query == {"fields": "properties(title,locale,timeZone),sheets.properties,namedRanges"}:
        return pretty(gs_tabs(request, world))
    raise Refused(400, "unexpected request")


def gs_tabs(request, world):
    found = []
    for i, (title, tab) in enumerate(world["tabs"].items()):
        rows = tab.get("rows", 1000)
        if tab.get("shrinks") and not request.state.first_times("tabs", 1):
            rows -= 1
        properties = {"sheetId": i * 562149769, "title": title, "index": i, "sheetType": tab.get("type", "GRID"),
                      "gridProperties": {"rowCount": rows, "columnCount": tab.get("columns", 26)}}
        found.append({"properties": {name: value for name, value in properties.items() if value != 0}})
    return {"properties": {"title": "Q3 plan", "locale": "en_US", "timeZone": "Europe/Berlin"}, "sheets": found}


SERVICES = {"google": google_token, "computeMetadata": metadata, "bigquery": bigquery, "v4": sheets}
