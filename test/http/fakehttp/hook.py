"""/hook: a receiver of events that believes nothing."""

import base64
import hashlib
import hmac
import json
import re

from .wire import DELIVERY, Refused, json_response

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def hook(request, name):
    """Takes an event that is what it says it is; status=N, times=K: refuses the first K of them."""
    request.need("POST")
    request.only(DELIVERY, "secret", "status", "times", "to")
    check_signature(request)
    event = parse(request)
    check_head(request, event)
    status = request.number("status", 200, 200, 599)
    if not request.state.first_times("hook " + name, request.number("times", None)):
        status = 200
    headers = [("Location", request.text("to"))] if "to" in request.query else []
    return request.deliver(json_response({"taken": status < 300}, status, headers))


def check_signature(request):
    given = request.headers.get("x-signature")
    if "secret" not in request.query:
        if given is not None:
            raise Refused(400, "a signature without a secret")
        return
    secret = request.text("secret").encode()
    wanted = base64.b64encode(hmac.new(secret, request.body, hashlib.sha256).digest()).decode()
    if given is None or not hmac.compare_digest(given, wanted):
        raise Refused(400, "bad signature")


def parse(request):
    if request.headers["content-type"] != "application/json":
        raise Refused(415, "application/json is expected")
    try:
        event = json.loads(request.body.decode("utf-8"))
    except ValueError:
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(event, dict) or not UUID.fullmatch(str(event.get("id"))):
        raise Refused(400, "an event has an id")
    return event


def check_head(request, event):
    for header, member in (("x-event-id", "id"), ("x-event", "event")):
        if request.headers.get(header) != event.get(member):
            raise Refused(400, "header %s does not say what the body says" % header)
