"""A loopback HTTP server of files in memory, which can misbehave."""

import contextlib
import functools
import http.server
import io
import threading

import torch


class FileServer(http.server.ThreadingHTTPServer):
    """files: path -> bytes; etags: path -> ETag (default: one a file); ranges: whether Range is obeyed; cuts: after how
    many bytes the next responses end, one each; redirects: path -> address; requests: (path, Range header) of every
    GET.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.files, self.etags, self.ranges, self.cuts, self.redirects, self.requests = {}, {}, True, [], {}, []

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
        server, asked = self.server, self.headers.get("Range")
        server.requests.append((self.path, asked))
        if self.path in server.redirects:
            self.send_response(302)
            self.send_header("Location", server.redirects[self.path])
            return self.end_headers()
        body = server.files.get(self.path)
        if body is None:
            return self.send_error(404)
        etag = server.etags.get(self.path, f'"{len(body)}"')
        begin = 0
        if asked and server.ranges and self.headers.get("If-Range") in (None, etag):
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                return self.end_headers()
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - begin))
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        end = begin + server.cuts.pop(0) if server.cuts else len(body)
        self.wfile.write(body[begin:end])

    def log_message(self, *args):
        pass
