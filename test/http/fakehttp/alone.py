"""A fake that is one program of its own."""
import os
import sys
from http.server import ThreadingHTTPServer


def serve(handler):
    """Listens on 127.0.0.1 until it is killed; the port goes into the file that is the first argument."""
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    server.daemon_threads = True
    with open(sys.argv[1] + '.new', 'w', encoding='ascii') as file:
        file.write(str(server.server_port))
    os.rename(sys.argv[1] + '.new', sys.argv[1])
    server.serve_forever()
