"""Questions of a web page of another origin to the servers on this machine: request by request, and in a real browser."""

import base64
import http.client
import http.server
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from local_servers import answers

HOST = "evil.example"
ORIGIN = f"http://{HOST}"
COMMAND = "touch by-a-web-page"
ATTACKS = {
    "a shell command in launch": {"parameters": {"overrides": [f"launch=accelerate launch x; {COMMAND}; true -m"]}},
    "a command of its own": {"job_variables": {"command": COMMAND}},
}
PAGE = """
<script>
const api = "API", mlflow = "MLFLOW", start = "START", bodies = BODIES, seen = {};
const answer = async (name, address, options) => {
  try { const got = await fetch(address, options); seen[name] = got.type === "opaque" ? "sent" : got.status; }
  catch (error) { seen[name] = "refused"; }
};
const json = { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" };
(async () => {
  await answer("read", api + "/deployments/filter", json);
  for (const body of bodies)  // a Blob without a type has no Content-Type, so the browser asks nobody before it sends it
    await answer("start", start, { method: "POST", mode: "no-cors", body: new Blob([body]) });
  await answer("register", mlflow + "/api/2.0/mlflow/registered-models/create",
    { method: "POST", mode: "no-cors", body: new Blob(['{"name": "by-a-web-page"}']) });
  await answer("registry", mlflow + "/api/2.0/mlflow/registered-models/search");
  await new Promise((done) => {
    const socket = new WebSocket(api.replace("http", "ws") + "/logs/out", "prefect");
    socket.onopen = () => socket.send(JSON.stringify({ type: "auth", token: null }));
    socket.onmessage = () => { seen.logs = "open"; done(); };
    socket.onclose = () => { seen.logs ??= "closed"; done(); };
  });
  await fetch("/seen", { method: "POST", body: JSON.stringify(seen) });
})();
</script>
"""


def post(address: str, body: object, **headers: str) -> tuple[int, str]:
    """Status and text of a POST with these headers and no others: without a Content-Type if none is given."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request(
            "POST", parts.path, json.dumps(body), {name.replace("_", "-"): headers[name] for name in headers}
        )
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def called(address: str, path: str, body: object, authorization: str) -> dict:
    """The answer of Prefect's API to somebody who may ask."""
    status, text = post(f"{address}{path}", body, Authorization=authorization, Content_Type="application/json")
    assert status < 300 or status == 409, text  # that of an earlier test
    return json.loads(text)


def deployment(api: str, authorization: str) -> str:
    """A deployment of a process pool, as `prefect deploy` makes it; the address that starts a run of it."""
    called(api, "/work_pools/", {"name": "pages", "type": "process"}, authorization)
    flow = called(api, "/flows/", {"name": "distilflow"}, authorization)
    made = {"name": "pages", "flow_id": flow["id"], "work_pool_name": "pages", "enforce_parameter_schema": False}
    return f"{api}/deployments/{called(api, '/deployments/', made, authorization)['id']}/create_flow_run"


def runs(api: str, authorization: str) -> int:
    """Number of runs that the server knows."""
    _, text = post(f"{api}/flow_runs/count", {}, Authorization=authorization, Content_Type="application/json")
    return int(text)


def assert_prefect_is_closed(api: str, auth_string: str) -> None:
    """A page of another origin reads nothing and starts nothing, by whatever name it calls the machine; health is open."""
    authorization = basic(auth_string)
    start = deployment(api, authorization)
    before = runs(api, authorization)
    typed = {"Content_Type": "application/json"}
    for own in (
        {"Origin": ORIGIN},
        {"Host": f"{HOST}:{urlsplit(api).port}"},
        {"Authorization": basic("distilflow:no")},
    ):
        assert post(f"{api}/deployments/filter", {}, **own, **typed)[0] == 401
        assert {name: post(start, body, **own)[0] for name, body in ATTACKS.items()} == dict.fromkeys(ATTACKS, 401)
    assert runs(api, authorization) == before
    with urllib.request.urlopen(f"{api}/health", timeout=30) as answer:
        assert answer.read() == b"true"
    for origin, allowed in ((ORIGIN, None), (api.removesuffix("/api"), api.removesuffix("/api"))):
        request = urllib.request.Request(f"{api}/health", headers={"Origin": origin})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == allowed


def assert_mlflow_is_closed(address: str) -> None:
    """A page of another origin writes nothing; one whose name leads to this machine reads nothing, too."""
    create, search = (
        f"{address}/api/2.0/mlflow/registered-models/{what}" for what in ("create", "search?max_results=9")
    )
    for origin in (ORIGIN, "null"):
        for own in ({}, {"Content_Type": "application/json"}):
            assert post(create, {"name": "by-a-web-page"}, Origin=origin, **own)[0] == 403
    # `10.*` and `192.168.*` are patterns of MLflow's own list of hosts.
    for host in (HOST, f"10.{HOST}", f"192.168.{HOST}"):
        assert answers(search, host=f"{host}:{urlsplit(address).port}") == 403
    with urllib.request.urlopen(search, timeout=30) as answer:
        assert "by-a-web-page" not in answer.read().decode()


def basic(auth_string: str) -> str:
    """The header by which Prefect's clients send it."""
    return f"Basic {base64.b64encode(auth_string.encode()).decode()}"


def chromium() -> str:
    """The browser; without one the test is skipped."""
    found = next((name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None)
    return found or pytest.skip("no Chromium on this machine: apt-get install chromium")


def seen_by_a_page(api: str, mlflow: str, start: str) -> dict[str, object]:
    """Findings and doings of a page of another origin, opened in a browser. The browser takes HOST for this machine."""
    bodies = json.dumps([json.dumps(body) for body in ATTACKS.values()])
    values = {"API": api, "MLFLOW": mlflow, "START": start, "BODIES": bodies}
    seen: queue.Queue[dict[str, object]] = queue.Queue()
    with (
        served(re.sub("|".join(values), lambda name: values[name[0]], PAGE), seen) as port,
        # Not `folder`: in the C locale Chromium crashes in a path that is no ASCII.
        tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as own,
    ):
        command = [
            *(
                chromium(),
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ),
            *(f"--user-data-dir={own}/browser", f"--host-resolver-rules=MAP {HOST} 127.0.0.1"),
            f"{ORIGIN}:{port}/",
        ]
        browser = subprocess.Popen(
            command,
            env={**os.environ, "HOME": own, "TMPDIR": own},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return seen.get(timeout=120)
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()


@contextmanager
def served(page: str, seen: "queue.Queue[dict[str, object]]") -> Generator[int]:
    """A web server with this page, which tells it what it saw; its port."""

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(page.encode(), "text/html")

        def do_POST(self) -> None:
            seen.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.answer(b"", "text/plain")

        def answer(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
