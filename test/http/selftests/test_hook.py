"""The receiver of events."""

import base64
import hashlib
import hmac

from .harness import Case, call

ID = "2f1c9f3e-6c1b-4f0a-9d55-0f7c6f5b8a11"
BODY = '{"id": "%s", "event": "sync.success"}' % ID


def sign(secret, body=BODY):
    return base64.b64encode(hmac.new(secret.encode(), body.encode(), hashlib.sha256).digest()).decode()


class Hook(Case):
    def post(self, target, status=200, body=BODY, **changes):
        headers = {"Content-Type": "application/json", "X-Event": "sync.success", "X-Event-Id": ID}
        headers.update({name.replace("_", "-"): value for name, value in changes.items()})
        headers = {name: value for name, value in headers.items() if value is not None}
        self.assertEqual(call(self.fake.port, "POST", target, body, headers)[0], status)

    def test_signature(self):
        self.post("/hook/a?secret=s", X_Signature=sign("s"))
        self.post("/hook/a?secret=s", 400, X_Signature=sign("t"))
        self.post("/hook/a?secret=s", 400, X_Signature=sign("s", BODY + " "))
        self.post("/hook/a?secret=s", 400)
        self.post("/hook/a")
        self.post("/hook/a", 400, X_Signature=sign("s"))

    def test_event(self):
        self.post("/hook/a", 400, X_Event="sync.failed")
        self.post("/hook/a", 400, X_Event_Id=None)
        self.post("/hook/a", 415, Content_Type="text/plain")
        self.post("/hook/a", 400, body="{}")
        self.post("/hook/a", 400, body="[")
        self.get("/hook/a", 405)

    def test_refusals(self):
        for status in (503, 503, 200, 200):
            self.post("/hook/b?status=503&times=2", status)
        self.post("/hook/c?status=410", 410)
        self.post("/hook/c?status=410", 410)
