"""The parts of the fake HTTP server; see ../server.py for what it offers."""
