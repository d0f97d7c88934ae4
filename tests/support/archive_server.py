"""A server on the loopback address that serves an archive well or badly, and what makes archives."""
import gzip
import http.server
import io
import tarfile
import threading
import time


def entry(name, data=b"", **fields):
    """A member as (TarInfo, bytes)."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def tar_gz(entries):
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data) if data else None)
    return gzip.compress(plain.getvalue(), 1)


class Server(http.server.ThreadingHTTPServer):
    """Serves `body`; each request takes the next of `plan`, the last one for ever."""
    daemon_threads = True

    def __init__(self, body, plan):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.plan, self.ranges = body, list(plan), []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/cifar.tar.gz"

    def handle_error(self, request, client_address):
        pass  # a client that goes away in the middle is part of the tests


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server
        action = server.plan.pop(0) if len(server.plan) > 1 else server.plan[0]
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        body, begin = server.body, int(asked[6:-1]) if asked else 0
        if isinstance(action, int):
            self.send_error(action)
            return
        if action in ("full", "full cut") or not asked:
            begin = 0
            self.send_response(200)
        elif begin >= len(body):
            self.send_error(416)
            return
        else:
            self.send_response(206)
            shown = begin + 1 if action == "wrong range" else begin
            self.send_header("Content-Range", f"bytes {shown}-{len(body) - 1}/{len(body)}")
        if action != "endless":
            self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        if action in ("cut", "full cut"):
            self.wfile.write(body[begin:begin + len(body) // 3])
        elif action == "stall":
            self.wfile.write(body[begin:begin + len(body) // 3])
            self.wfile.flush()
            time.sleep(20)
        elif action == "endless":
            for _ in range(1000):
                self.wfile.write(bytes(1 << 16))
        else:
            self.wfile.write(body[begin:])
