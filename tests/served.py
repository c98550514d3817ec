"""The page served within the test's own process, and asked as a program asks it: raw HTTP."""

import json
import uuid
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx

import app
from tabs import expressions, latent, motion, painting, styles
from tabs.kit import jobs
from tests import motion_given, tiny, tiny_ganimation, tiny_spade, tiny_stargan_v2
from tests.test_browser import PATIENCE


def given_weights(root):
    """--weights of every tab: tiny ones; "drawn" and "filmed" move portraits, "plain" draws,
    "painter" paints, "mover" moves faces, "stylist" translates.
    """
    plain = tiny.save_progan(root / "plain")
    painter = tiny_spade.save_spade(root / "painter")
    mover = tiny_ganimation.save_ganimation(root / "mover")
    stylist = tiny_stargan_v2.save_stargan_v2(root / "stylist")
    more = (("plain", str(plain)), ("painter", str(painter)), ("mover", str(mover)))
    more += (("stylist", str(stylist)),)
    return motion_given.settings(root).weights + more


@contextmanager
def page(root, monkeypatch):
    """The page as `python app.py` serves it: (its Blocks, a client of its address)."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(root / "page"))
    settings = jobs.Settings(device="cpu", weights=given_weights(root))
    blocks = app.build(settings)
    for tab in (motion, latent, painting, expressions, styles):
        tab.system(settings).load_now()
    options = app.parse(["--host", "127.0.0.1"])
    _, url, _ = app.launch(blocks, options, prevent_thread_lock=True, quiet=True)
    try:
        with httpx.Client(base_url=f"{url}gradio_api", timeout=60, trust_env=False) as client:
            yield SimpleNamespace(blocks=blocks, client=client, config=blocks.config)
    finally:
        blocks.close()


@contextmanager
def in_browser(browser, tab, settings, **context):
    """A browser's page with the `tab` alone, opened late; closed with a check for script errors.

    context: options of the browser's.
    """
    with gr.Blocks(analytics_enabled=False) as blocks, gr.Tabs():
        with gr.Tab("First"):
            gr.Markdown("The tab is shown late.")
        with gr.Tab(tab.NAME):
            tab.build(blocks, settings)
    options = app.parse(["--host", "127.0.0.1"])
    _, url, _ = app.launch(blocks, options, prevent_thread_lock=True, quiet=True)
    opened = browser.new_context(viewport={"width": 1280, "height": 900}, **context)
    page, errors = opened.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(PATIENCE)
    try:
        page.goto(url)
        page.get_by_role("tab", name=tab.NAME).click()
        yield page
    finally:
        opened.close()
        blocks.close()
    assert errors == []


def upload(page, path):
    """The value of a file that was uploaded."""
    path = Path(path)
    files = {"files": (path.name, path.read_bytes())}
    (stored,) = page.client.post("/upload", files=files).json()
    return {"path": stored, "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}


class Visit:
    """One visitor of `page`, who may ask for anything; `given`: values by elem_id."""

    def __init__(self, page, given=None):
        self.page, self.session, self.given = page, uuid.uuid4().hex, given or {}
        self.components = {one["id"]: one for one in page.config["components"]}

    def value(self, component):
        """What the page would send for a component; no crop, so that it is the weights' own."""
        kind, props = self.components[component]["type"], self.components[component]["props"]
        return self.given.get(props.get("elem_id"), None if kind == "html" else props.get("value"))

    def asked(self, event, changed=None):
        """The inputs of `event`, some of them `changed`: {component id: value}."""
        changed = changed or {}
        return [changed.get(one, self.value(one)) for one in event["inputs"]]

    def body(self, event, data):
        clicked = {"index": 0, "value": None, "x": 5, "y": 5}
        return {
            "data": data, "fn_index": event["id"], "session_hash": self.session,
            "event_data": clicked, "trigger_id": None,
        }  # fmt: skip

    def queued(self, event, data):
        """What the queue answers last: {"data": ...} or {"error": ...}."""
        client = self.page.client
        joined = client.post("/queue/join", json=self.body(event, data))
        if joined.status_code != 200:
            return {"refused": joined.text}
        with client.stream("GET", "/queue/data", params={"session_hash": self.session}) as lines:
            for line in lines.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    output = message["output"]
                    return {key: output[key] for key in ("data", "error") if key in output}
        raise AssertionError("the queue ended without an answer")

    def direct(self, event, data):
        """What the same function answers beside the queue."""
        answer = self.page.client.post("/run/predict", json=self.body(event, data)).json()
        return {key: answer[key] for key in ("data", "error", "detail") if key in answer}

    def server_function(self, component, name, data):
        """What a component's own function answers."""
        return self.page.client.post(
            "/component_server",
            json={"session_hash": self.session, "component_id": component, "fn_name": name,
                  "data": data},
        ).text  # fmt: skip
