"""A loopback HTTP server of files in memory, which can misbehave."""

import contextlib
import functools
import http.server
import io
import threading
import time

import torch


class FileServer(http.server.ThreadingHTTPServer):
    """files: path -> bytes; length: whether it says how long a file is; cuts: after how many bytes the next responses
    end, one each; redirects: path -> address; requests: the path of every GET; pause: seconds after each byte.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.files, self.length, self.cuts, self.redirects, self.requests = {}, True, [], {}, []
        self.pause = 0

    def put(self, path, network):
        buffer = io.BytesIO()
        torch.save(network.state_dict(), buffer)
        self.files[path] = buffer.getvalue()


@contextlib.contextmanager
def running_server(monkeypatch):
    server = FileServer()
    monkeypatch.setenv("no_proxy", "*")
    thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.02))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests.append(self.path)
        if self.path in server.redirects:
            self.send_response(302)
            self.send_header("Location", server.redirects[self.path])
            return self.end_headers()
        body = server.files.get(self.path)
        if body is None:
            return self.send_error(404)
        self.send_response(200)
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a client that has enough
            body = body[: server.cuts.pop(0) if server.cuts else len(body)]
            for part in map(bytes, zip(body, strict=True)) if server.pause else [body]:
                self.wfile.write(part)
                time.sleep(server.pause)

    def log_message(self, *args):
        pass
