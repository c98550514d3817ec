"""The page: header, one tab per system, footer, and how it is started.

    python app.py                                     then open http://127.0.0.1:7860
    python app.py --weights mine=runs/mine/weights --device cuda --port 8000

Adding a tab is a folder in tabs/ and its name in `build`. Nothing leaves the computer unless a
visitor asks for a download.
"""

import argparse
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from gan_models.errors import UserError

ROOT = Path(__file__).resolve().parent
NAME = "GAN Atelier"
SENTENCE = "Classic image GANs to play with, trained by this project's own trainers."
README_LINK = "How it works and how to train your own"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line, read before anything heavy is imported: --help answers at once."""
    parser = argparse.ArgumentParser(
        prog="python app.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--weights", action="append", default=[], metavar="NAME=FOLDER",
        help="weights to show first, under NAME, in the tab of their system; may be repeated",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 ... (default: auto)")
    parser.add_argument("--host", help="address to serve on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="default: 7860, or the next one that is free")
    parser.add_argument(
        "--share", action="store_true",
        help="also serve the page on a public address, through Gradio's servers (default: off)",
    )  # fmt: skip
    parser.add_argument(
        "--public", action="store_true",
        help="for strangers: they make this computer fetch nothing, and give it files of 20 MB at\n"
        "most (else of 1 GB, as large as published weights)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    options.weights = tuple(tuple(given.split("=", 1)) for given in options.weights)
    for pair in options.weights:
        if len(pair) != 2 or not all(pair):
            parser.error(f"--weights {'='.join(pair)}: write NAME=FOLDER, as in mine=runs/mine")
    return options


def set_environment() -> None:
    """Before Gradio is imported: no telemetry, temporary files that end with the program. Before
    torch is: its threads sleep while they wait for each other; spinning slows the live view.
    """
    from tabs.kit import jobs

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(jobs.temporary_root() / "page")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def settings_of(options: argparse.Namespace):
    """The tabs' settings; SystemExit with a sentence for weights or a device that will not do."""
    from gan_models.weights import read_config
    from tabs.kit import jobs

    given = {"weights": options.weights, "public": options.public}
    settings = jobs.Settings(device=options.device, **given)
    try:
        for _, folder in settings.weights:
            read_config(folder)
        if settings.device != "auto":
            jobs.device_name(settings)
    except UserError as error:
        raise SystemExit(f"error: {error}") from error
    return settings


def build(settings):
    import gradio as gr

    from tabs import expressions, latent, motion, painting, styles
    from tabs.kit import jobs, look, sending, visits

    options = {"analytics_enabled": False, "fill_width": True, "delete_cache": (600, 3600)}
    with visits.Page(title=NAME, **options) as page:
        gr.Navbar(visible=False)
        gr.HTML(look.header(NAME, SENTENCE, motion.README, README_LINK))
        built = {}
        with gr.Tabs(overflow_behavior="wrap", elem_id="tabs") as pages:
            for tab in (motion, latent, painting, expressions, styles):
                with gr.Tab(tab.NAME, id=tab.NAME):
                    built[tab] = tab.build(page, settings)
                if jobs.ON_ZERO_GPU:
                    tab.system(settings).load_now()
        sending.connect(pages, built)
        page.unload(page.leave)
    with page.route("README", "/readme", show_in_navbar=False):
        gr.Navbar(visible=False)
        gr.Markdown(look.readme(ROOT), header_links=True, elem_classes=["readme"])
    return page


def launch(page, options: argparse.Namespace, **more):
    """Serve the page; `more` goes to Gradio's launch."""
    from tabs.kit import look

    page.queue(max_size=64, default_concurrency_limit=8)
    return page.launch(
        server_name=options.host,
        server_port=options.port,
        share=options.share,
        theme=look.theme(),
        css=look.CSS,
        head=look.HEAD,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        max_file_size="20mb" if options.public else "1gb",
        max_threads=120,  # a clip that stands in line has one, too
        allowed_paths=[str(ROOT / "assets")],
        **more,
    )


def main() -> None:
    options = parse()
    signals: list[int] = []

    def stop(number: int, _) -> None:
        if signals:  # for the second time
            os._exit(128 + number)
        signals.append(number)
        raise KeyboardInterrupt  # which Gradio waits for

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    set_environment()
    with suppress(KeyboardInterrupt):
        launch(build(settings_of(options)), options)
    from tabs.kit import jobs

    jobs.end_all()
    sys.stdout.flush()
    # Python's own end would stop threads within torch, which abort the program then.
    os._exit(128 + signals[0] if signals else 0)


if __name__ == "__main__":
    main()
