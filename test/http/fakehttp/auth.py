"""/auth/... and /oauth/token: fixed credentials, compared to the letter."""

import base64
import json
import re
from urllib.parse import parse_qsl, unquote_plus

from .wire import TOKEN, Refused, Response, json_response

USER, PASSWORD = "etl", 'p:ä"\\x'                # RFC 7617, UTF-8
BEARER = "tok-9f3a.B~+/=="
API_KEY = 'k3y/+=&%"x'
CLIENT_ID, CLIENT_SECRET = "census-client", "s3cr:t/+=&% ü"
SCOPE = "read"

B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def unauthorized(challenge, message, code="unauthorized"):
    return Refused(401, message, [("WWW-Authenticate", challenge)], code=code)


def authorization(request, scheme, challenge):
    """What follows the scheme in the Authorization header."""
    value = request.headers.get("authorization")
    if value is None:
        raise unauthorized(challenge, "credentials are missing")
    given, space, rest = value.partition(" ")
    if given.lower() != scheme.lower() or not space or rest != rest.strip():
        raise unauthorized(challenge, "bad Authorization header")
    return rest


def basic_pair(request, challenge):
    text = authorization(request, "Basic", challenge)
    try:
        pair = base64.b64decode(text, validate=True).decode("utf-8")
    except ValueError:
        raise unauthorized(challenge, "not Base64 of UTF-8") from None
    name, colon, password = pair.partition(":")
    if not colon:
        raise unauthorized(challenge, "no colon between user and password")
    return name, password


def check_basic(request):
    challenge = 'Basic realm="fake, \\"quoted\\"", charset="UTF-8"'
    if basic_pair(request, challenge) != (USER, PASSWORD):
        raise unauthorized(challenge, "wrong user or password")


def check_bearer(request):
    challenge = 'Bearer realm="fake"'
    token = authorization(request, "Bearer", challenge)
    if not B64TOKEN.fullmatch(token) or token != BEARER:
        raise unauthorized(challenge + ', error="invalid_token"', "wrong token")


def check_oauth(request):
    challenge = 'Bearer realm="fake"'
    token = authorization(request, "Bearer", challenge)
    if not request.state.use(token):
        raise unauthorized(challenge + ', error="invalid_token"', "expired", "invalid_token")


def no_authorization(request):
    if "authorization" in request.headers:
        raise Refused(400, "an Authorization header is not expected here")


def compare_key(given):
    if given is None:
        raise unauthorized("ApiKey", "the key is missing")
    if given != API_KEY:
        raise Refused(403, "wrong key")


def check_api_key_header(request):
    no_authorization(request)
    name = request.query.pop("header", "X-API-Key")
    request.sticky["header"] = name
    if not TOKEN.fullmatch(name):
        raise Refused(400, "bad header name")
    if "api_key" in request.query:
        raise Refused(400, "the key does not belong into the query string")
    compare_key(request.headers.get(name.lower()))


def check_api_key_query(request):
    no_authorization(request)
    if "x-api-key" in request.headers:
        raise Refused(400, "the key does not belong into a header")
    # Taken out, so that next URLs made from this request don't repeat it.
    compare_key(request.query.pop("api_key", None))


CHECKS = {"basic": check_basic, "bearer": check_bearer, "oauth": check_oauth,
          "api_key_header": check_api_key_header, "api_key_query": check_api_key_query}


def auth(request, kind, rest, route):
    """/auth/KIND answers two records; /auth/KIND/REST what /REST does, for who is let in."""
    if kind == "echo":
        return echo(request)
    if kind not in CHECKS:
        raise Refused(404, "there is no such way to authenticate")
    CHECKS[kind](request)
    if rest:
        return route(request, rest)
    request.need("GET")
    request.only()
    return json_response([{"id": 1, "name": "let"}, {"id": 2, "name": "in"}])


def echo(request):
    """An error that repeats every credential in every form that it was sent or can be read in."""
    request.need("GET", "POST")
    request.only("status", "pad", "api_key", "type")
    sent = {name: value for name, value in request.headers.items()
            if name in ("authorization", "cookie") or "key" in name or "token" in name}
    try:
        sent["decoded"] = ":".join(basic_pair(request, "Basic"))
    except Refused:
        pass
    sent["query"] = request.query.get("api_key")
    sent["target"] = request.target
    sent["body"] = request.body.decode("utf-8", "replace")
    pad = "." * request.number("pad", 0)
    status = request.number("status", 403, 400, 599)
    if request.text("type", "json", ("json", "text")) == "text":
        lines = "".join("%s: %s\n" % item for item in sent.items())
        return Response((pad + lines).encode(), status, "text/plain; charset=utf-8")
    return json_response({"error": {"message": pad + "refused: " + json.dumps(sent)}, **sent},
                         status)


# -- the token endpoint, RFC 6749 section 4.4

def token_error(status, code, headers=()):
    body = {"error": code, "error_description": "refused by the fake token endpoint"}
    return json_response(body, status, [("Cache-Control", "no-store"), *headers])


def token_form(request):
    """The form's fields, or None if it is not a proper one."""
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/x-www-form-urlencoded":
        return None
    if rest.strip().lower() not in ("", "charset=utf-8"):
        return None
    try:
        pairs = parse_qsl(request.body.decode("ascii"), keep_blank_values=True,
                          strict_parsing=True, errors="strict")
    except ValueError:
        return None
    names = [name for name, _ in pairs]
    allowed = {"grant_type", "scope", "client_id", "client_secret"}
    return dict(pairs) if len(set(names)) == len(names) and allowed.issuperset(names) else None


def token(request):
    request.need("POST")
    request.only("uses", "expires_in", "expires_form")
    form = token_form(request)
    if form is None or "grant_type" not in form:
        return token_error(400, "invalid_request")
    challenge = [("WWW-Authenticate", 'Basic realm="token"')]
    if "authorization" in request.headers:
        if {"client_id", "client_secret"} & form.keys():
            return token_error(400, "invalid_request")      # one method only
        # RFC 6749, 2.3.1: both are form-encoded before they go into the header.
        client = tuple(unquote_plus(part) for part in basic_pair(request, challenge[0][1]))
    else:
        client = form.get("client_id"), form.get("client_secret")
    if client != (CLIENT_ID, CLIENT_SECRET):
        return token_error(401, "invalid_client", challenge)
    if form["grant_type"] != "client_credentials":
        return token_error(400, "unsupported_grant_type")
    if form.get("scope", SCOPE) != SCOPE:
        return token_error(400, "invalid_scope")
    return token_granted(request)


def token_granted(request):
    expires_in = request.number("expires_in", 3600)
    form = request.text("expires_form", "number", ("number", "string", "missing"))
    body = {"access_token": request.state.issue(request.number("uses", None), expires_in),
            "token_type": "Bearer", "scope": SCOPE}
    if form != "missing":
        body["expires_in"] = expires_in if form == "number" else str(expires_in)
    return json_response(body, headers=[("Cache-Control", "no-store"), ("Pragma", "no-cache")])
