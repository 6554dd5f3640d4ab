#!/usr/bin/env python3
"""A fake of any service, which answers with bodies as they were put: samples.py PORT_FILE LOG

Listens on 127.0.0.1.  POST /_control takes JSON whose members replace those of the state:
  exchanges  [{"method": M, "path": P, "query": {...}, "auth": A, "sent": [...], "status": S, "body": text,
               "type": T, "headers": {...}, "gzip": true, "times": N}]
A request is answered by the first of them that it fits: method (default GET); path, as it was sent, with
fnmatch's wildcards; parameters of the query string that must be there; the Authorization header; texts that its
body must have in it.  An exchange with times is good for so many requests.  What fits none gets 404.
LOG: a line of JSON per request; matched is the number of its exchange, -1: it fit none.
"""
import fnmatch
import gzip
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

from fakehttp import alone

state = {'exchanges': []}
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def handle_any(self):
        text = self.rfile.read(int(self.headers.get('Content-Length') or 0)).decode()
        url = urlsplit(self.path)
        if url.path == '/_control':
            with lock:
                state.update(json.loads(text))
            return self.send(200, b'{}', 'application/json')
        with lock:
            number = self.find(url, text)
            with open(sys.argv[2], 'a', encoding='utf-8') as log:
                log.write(json.dumps({'method': self.command, 'path': url.path, 'query': url.query, 'body': text,
                                      'headers': {k.lower(): v for k, v in self.headers.items()},
                                      'matched': number}) + '\n')
        if number < 0:
            return self.send(404, b'{"message": "the test expects no such request"}', 'application/json')
        exchange = state['exchanges'][number]
        return self.send(exchange.get('status', 200), exchange.get('body', '').encode(),
                         exchange.get('type', 'application/json'), exchange.get('headers', {}),
                         exchange.get('gzip', False))

    do_GET = do_POST = do_DELETE = handle_any

    def find(self, url, text):
        given = dict(parse_qsl(url.query, True))
        for number, exchange in enumerate(state['exchanges']):
            if exchange.get('method', 'GET') != self.command or exchange.get('times') == 0 or \
                    not fnmatch.fnmatchcase(url.path, exchange['path']):
                continue
            if any(given.get(name) != value for name, value in exchange.get('query', {}).items()) or \
                    any(part not in text for part in exchange.get('sent', [])) or \
                    exchange.get('auth', self.headers.get('Authorization')) != self.headers.get('Authorization'):
                continue
            if 'times' in exchange:
                exchange['times'] -= 1
            return number
        return -1

    def send(self, status, body, kind, headers=None, packed=False):
        if packed:
            body = gzip.compress(body)
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        if packed:
            self.send_header('Content-Encoding', 'gzip')
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


if __name__ == '__main__':
    alone.serve(Handler)
