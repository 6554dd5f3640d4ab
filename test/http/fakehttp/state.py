"""What the fake server remembers between requests, and its log."""

import contextlib
import json
import os
import threading
import time

from .wire import Refused

LOGGED_BODY = 64 * 1024
GATE_TIMEOUT = 120


class State:
    """Documents, counters, tokens, gates.  Every method may be called from any thread."""

    def __init__(self, root=None, log_file=None):
        self.root = root
        self.lock = threading.Condition()
        self.log_fd = None
        if log_file:
            # Append mode keeps the log whole when reset() empties it between two lines.
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC
            self.log_fd = os.open(log_file, flags, 0o600)
        self.accepted = self.busy = self.requests = self.failures = 0
        self.clear()

    def clear(self):
        self.documents = {}     # name -> (bytes, content type)
        self.counters = {}      # key -> how often
        self.tokens = {}        # OAuth token -> [uses left or None, expiry or None]
        self.issued = 0
        self.gates = {}         # gate -> how many releases are left
        self.services = {}      # what fake services remember
        self.waiting = {}       # gate -> how many requests wait at it

    def reset(self):
        with self.lock:
            self.clear()
            self.requests = 0
            if self.log_fd is not None:
                os.ftruncate(self.log_fd, 0)
            self.lock.notify_all()

    def summary(self):
        with self.lock:
            return {"accepted": self.accepted, "busy": self.busy,
                    "requests": self.requests, "server_errors": self.failures,
                    "waiting": {gate: n for gate, n in self.waiting.items() if n},
                    "documents": sorted(self.documents), "tokens": len(self.tokens)}

    def accept(self):
        with self.lock:
            self.accepted += 1
            return self.accepted

    def broken(self):
        with self.lock:
            self.failures += 1

    # -- documents and counters

    def put(self, name, content, content_type):
        with self.lock:
            self.documents[name] = (content, content_type)

    def document(self, name):
        with self.lock:
            if name not in self.documents:
                raise Refused(404, "there is no document " + name)
            return self.documents[name]

    def first_times(self, key, times):
        """Whether this is one of the first so many calls with key; None: always."""
        if times is None:
            return True
        with self.lock:
            self.counters[key] = self.counters.get(key, 0) + 1
            return self.counters[key] <= times

    # -- OAuth tokens

    def issue(self, uses, expires_in):
        with self.lock:
            self.issued += 1
            token = "at-%d.~+/%08x==" % (self.issued, (self.issued * 2654435761) & 0xFFFFFFFF)
            expiry = None if expires_in is None else time.monotonic() + expires_in
            self.tokens[token] = [uses, expiry]
            return token

    def use(self, token):
        """Whether the token is good; counts the use."""
        with self.lock:
            entry = self.tokens.get(token)
            if entry is None or entry[0] == 0:
                return False
            if entry[1] is not None and time.monotonic() >= entry[1]:
                return False
            if entry[0] is not None:
                entry[0] -= 1
            return True

    def revoke(self):
        with self.lock:
            self.tokens.clear()

    # -- gates

    def wait_gate(self, connection, gate):
        """Waits for release(gate); gives up, as a failure, after GATE_TIMEOUT seconds."""
        end = time.monotonic() + GATE_TIMEOUT
        waiting = self.waiting
        with self.lock:
            waiting[gate] = waiting.get(gate, 0) + 1
        try:
            while time.monotonic() < end:
                with self.lock:
                    if waiting is not self.waiting:
                        return          # reset
                    if self.gates.get(gate, 0) > 0:
                        self.gates[gate] -= 1
                        return
                connection.pause(0.02)
            connection.cut()
        finally:
            with self.lock:
                waiting[gate] -= 1

    def release(self, gate, count):
        with self.lock:
            self.gates[gate] = self.gates.get(gate, 0) + count

    # -- log

    @contextlib.contextmanager
    def busy_with(self, connection, request, status):
        """Around an answer: counts it while it is being sent, and logs the request."""
        if request.path.startswith("/control/"):
            yield
            return
        with self.lock:
            self.busy += 1
        try:
            self.log(connection, request, status)
            yield
        finally:
            with self.lock:
                self.busy -= 1

    def log(self, connection, request, status):
        """One line per request, written before the answer's first byte leaves."""
        line = {"time": round(time.time(), 3), "connection": connection.number,
                "tls": connection.server.tls is not None, "method": request.method,
                "target": request.target, "path": request.path, "query": request.query,
                "headers": request.headers, "body_length": len(request.body),
                "body": request.body[:LOGGED_BODY].decode("utf-8", "replace"), "status": status}
        data = json.dumps(line, ensure_ascii=True).encode() + b"\n"
        with self.lock:
            self.requests += 1
            if self.log_fd is not None:
                os.write(self.log_fd, data)
