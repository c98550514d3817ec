"""A server of one large file on this machine, with the faults that such servers have."""

import http.server
import re
import time

from tests.local_server import LocalServer


class FileServer(LocalServer):
    """Serves `content` under any path, while used as a context manager.

    Attributes, to be changed at any time:
        tag: Its ETag; None for none.
        ranges: Whether it sends parts.
        cuts: After how many bytes the next connections end; those after them bring all.
        pause: Seconds after each 64 kB.
        page: Sent instead, as text/html.
        promised: More bytes than there are, in Content-Length.
        stated: As the Hub does: what X-Linked-ETag says on the way (`/resolve/`) to the file.
        requests: (path, Range) of every request so far.
    """

    def __init__(self, content: bytes):
        self.content, self.tag, self.ranges, self.cuts = content, '"one"', True, []
        self.pause, self.page, self.promised, self.stated, self.requests = 0, None, 0, "", []
        super().__init__()

    def _handler(served):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked = self.headers["Range"]
                served.requests.append((self.path, asked))
                if served.page:
                    return self.answer(200, served.page, {"Content-Type": "text/html; charset=x"})
                if "/resolve/" in self.path:
                    more = {"X-Linked-ETag": f'"{served.stated}"', "Location": "/lies-here"}
                    return self.answer(302, b"", more)
                if "missing" in self.path:
                    return self.answer(404, b"<html>", {})
                content, more = served.content, {"ETag": served.tag} if served.tag else {}
                start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
                whole = not served.ranges or self.headers["If-Range"] != served.tag
                if not asked or whole:
                    return self.answer(200, content, more)
                size = len(content)
                more["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
                self.answer(206, content[start:], more)

            def answer(self, status, content, more):
                self.send_response(status)
                more |= {"Content-Length": len(content) + served.promised}
                for key, value in more.items():
                    self.send_header(key, str(value))
                self.end_headers()
                if status < 300 and served.cuts:
                    content = content[: served.cuts.pop(0)]
                for at in range(0, len(content), 2**16):
                    self.wfile.write(content[at : at + 2**16])
                    time.sleep(served.pause)

            def handle(self):
                try:
                    super().handle()
                except OSError:
                    """The visitor stopped."""

            def log_message(self, *_):
                """Quiet."""

        return Handler
