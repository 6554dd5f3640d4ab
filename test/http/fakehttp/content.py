"""/files, /data and /control."""

import json
import mimetypes
import os
import re

from .wire import DELIVERY, Refused, Response, json_response

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
TYPES = {".json": "application/json", ".ndjson": "application/x-ndjson", ".csv": "text/csv",
         ".gz": "application/gzip"}


def check_name(name):
    if not NAME.fullmatch(name):
        raise Refused(404, "bad name: " + name)
    return name


def files(request, name):
    request.need("GET")
    request.only(DELIVERY)
    path = os.path.join(request.state.root or "", check_name(name))
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        raise Refused(404, "there is no file " + name) from None
    kind = TYPES.get(os.path.splitext(name)[1]) or mimetypes.guess_type(name)[0]
    return request.deliver(Response(content, type=kind or "application/octet-stream"))


def data(request, name):
    """A document that was put; with method=POST it wants to be asked by POST, with a JSON body."""
    request.need(request.text("method", "GET", ("GET", "POST")))
    request.only(DELIVERY, "method", "id")
    if request.method == "POST":
        if request.headers["content-type"].split(";")[0].strip() != "application/json":
            raise Refused(415, "application/json is expected")
        try:
            json.loads(request.body)
        except ValueError:
            raise Refused(400, "the body is not JSON") from None
    content, kind = request.state.document(check_name(name))
    return request.deliver(Response(content, type=kind))


def control(request, what):
    if what == "state":
        request.need("GET")
        request.only()
        return json_response(request.state.summary())
    request.need("POST")
    if what not in ACTIONS:
        raise Refused(404, "there is no such control")
    return ACTIONS[what](request) or json_response({"ok": True})


def control_put(request):
    request.only("path", "content_type")
    name = check_name(request.text("path", "").lstrip("/"))
    request.state.put(name, request.body, request.text("content_type", "application/json"))


def control_reset(request):
    request.only()
    request.state.reset()


def control_revoke(request):
    request.only()
    request.state.revoke()


def control_release(request):
    request.only("gate", "count")
    request.state.release(request.text("gate", "page"), request.number("count", 1, 1))


ACTIONS = {"put": control_put, "reset": control_reset, "revoke": control_revoke,
           "release": control_release}
