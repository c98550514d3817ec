"""A stand-in for the Hugging Face Hub on this machine, for the library's real client."""

import hashlib
import http.server
import re

from tests.local_server import LocalServer


class HubServer(LocalServer):
    """Serves repositories while used as a context manager.

    Attributes:
        files: {(repo, commit, path): bytes}; change it at any time.
        branches: {(repo, branch): commit}.
        short: Paths of which a download sends half, though HEAD announced the whole.
        requests: (method, path, user agent) of every request so far.
        url: Value for HF_ENDPOINT.
    """

    def __init__(self):
        self.files, self.branches, self.short, self.requests = {}, {}, set(), []
        super().__init__()

    def _handler(hub):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                hub.requests.append((self.command, self.path, self.headers["User-Agent"]))
                match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
                repo, revision, path = match.groups() if match else ("", "", "")
                commit = hub.branches.get((repo, revision), revision)
                if repo not in {known[0] for known in hub.files}:
                    return self.fail("RepoNotFound", commit)
                if commit not in {known[1] for known in hub.files if known[0] == repo}:
                    return self.fail("RevisionNotFound", commit)
                content = hub.files.get((repo, commit, path))
                if content is None:
                    return self.fail("EntryNotFound", commit)
                tag = hashlib.sha256(content).hexdigest()
                if self.command == "GET" and path in hub.short:
                    content = content[: len(content) // 2]
                self.answer(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": commit})

            do_GET = do_HEAD

            def fail(self, code, commit):
                self.answer(404, b"", {"X-Error-Code": code, "X-Repo-Commit": commit})

            def answer(self, status, content, headers):
                self.send_response(status)
                for key, value in (headers | {"Content-Length": len(content)}).items():
                    self.send_header(key, str(value))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content)

            def log_message(self, *_):
                """Quiet."""

        return Handler
