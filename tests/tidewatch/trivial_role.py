"""Stands in for a role where only the supervisor is under test: answers on its door, ends on TERM.

What it should do otherwise stands in the file `ROLE.does` of the stack's directory: `die`, `ignore`, `orphan`.
"""

from __future__ import annotations

import os
import signal
import socketserver
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

DOORS = {"gateway": "gateway", "sink": "clickhouse"}


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main(role: str) -> None:
    directory = Path(os.environ["TIDEWATCH_DATA"])
    wish = directory / f"{role}.does"
    does = wish.read_text() if wish.exists() else ""
    signal.signal(signal.SIGTERM, signal.SIG_IGN if does == "ignore" else lambda *_: os._exit(0))
    print(f"{role} is here", flush=True)
    if does == "die":
        sys.exit(f"tidewatch: {role} was told to die")
    if does == "orphan":
        subprocess.Popen(["sleep", "1000"])
    if role in DOORS:
        door = DOORS[role]
        with Server(("127.0.0.1", int(os.environ[f"TIDEWATCH_{door.upper()}__PORT"])), Answer) as server:
            (directory / "ports" / door).write_text(str(server.server_address[1]))
            server.serve_forever()
    while True:
        time.sleep(1000)


main(sys.argv[1])
