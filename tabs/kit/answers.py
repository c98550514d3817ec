"""Handlers meet components by name.

A handler's parameters are the names of the components it reads, `answers` names those it changes.
It gives or yields dicts of new values by name; what a dict leaves out stays as it is. So handlers
are plain functions that a test calls, and `Tab.on` finds the components.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace

import gradio as gr

from tabs.kit import jobs, look
from tabs.kit import texts as words

# An event without a place for its progress is cheap: for each place that any event ever had, the
# browser searches the whole page at every step of every event.
QUIET = {"show_progress": "hidden", "show_progress_on": [], "api_visibility": "private"}
FETCH = "() => setTimeout(() => document.querySelector('#{0}')?.click(), 150)"
GRADIO = ("request", "event")  # parameters that Gradio fills in itself
Answer = dict[str, object]


def answers(
    *names: str, notice: str | None = None, loading: bool = False, failed: Answer | None = None,
    once: bool = False,
) -> Callable:  # fmt: skip
    """Decorate a handler that changes `names`; with `notice` it becomes a generator of answers.

    notice: where an error becomes a sentence, with its `remedy` (a look.Remedy) where it has one,
    and of its `kind` (look.notice's);
    emptied by every answer that does not speak of it.
    loading: say there that the weights are being loaded, where the handler's `system` has to.
    failed: what an error changes besides.
    once: one answer is all, so that its events go past the queue, whose rounds take a tenth of a
    second.
    """

    def decorate(handler: Callable) -> Callable:
        if notice is None:
            handler.names = names
            return handler

        @functools.wraps(handler)
        def wrapped(*inputs, **named) -> Iterator[Answer]:
            try:
                if loading and not inputs[0].is_loaded(inputs[1]):
                    yield {notice: look.notice(words.LOADING)}
                made = handler(*inputs, **named)
                if not inspect.isgenerator(made):
                    made = (answer for answer in [made])
                with closing(made):
                    for answer in made:
                        yield {notice: "", **answer}
            except Exception as error:  # noqa: BLE001 - `sentence` logs what is not a sentence itself
                kind, remedy = getattr(error, "kind", "error"), getattr(error, "remedy", None)
                told = look.notice(jobs.sentence(error), kind, remedy)
                yield {**(failed or {}), notice: told}

        @functools.wraps(handler)
        def only(*inputs, **named) -> Answer:
            return next(wrapped(*inputs, **named))

        answering = only if once else wrapped
        answering.names = names if notice in names else (*names, notice)
        answering.queue = not once
        return answering

    return decorate


class Tab(SimpleNamespace):
    """The components of a tab by name; and `events`, those that Reset ends."""

    def __init__(self, **components):
        super().__init__(events=[], **components)

    def on(self, trigger, handler: Callable, *, newest=False, named: dict | None = None, **options):
        """Run `handler` at `trigger`: a component's event, several of them, or `then` of another.

        newest: while it runs, only the newest wish waits. named: components that this event calls
        otherwise. options: Gradio's; with `api_name` programs may call it, too.
        """
        places = vars(self) | (named or {})
        inputs = [one for one in inspect.signature(handler).parameters if one not in GRADIO]
        outputs = {name: places[name] for name in getattr(handler, "names", ())}
        options = {"queue": getattr(handler, "queue", True)} | options
        if isinstance(trigger, list):
            trigger = functools.partial(gr.on, trigger)
        if newest:
            options["trigger_mode"] = "always_last"
        if "api_name" in options:
            options["api_visibility"] = "public"
        event = trigger(
            _by_component(handler, outputs),
            [places[name] for name in inputs],
            list(outputs.values()),
            **QUIET | options,
        )
        if options["queue"]:
            self.events.append(event)
        return event

    def forgets(self, notice: gr.HTML, *changes) -> None:
        """Once one of `changes` comes, a remedy was taken: `notice` goes."""
        gr.on(list(changes), None, None, notice, js="() => ''", **QUIET)

    def turns_to(self, stage: str, *triggers) -> None:
        """The stage shows what these ask for at once, so that an answer that comes late takes
        nobody back from where he went meanwhile.
        """
        turn = f"() => ({{__type__: 'update', selected: '{stage}'}})"
        for trigger in triggers:
            trigger(None, None, self.stage, js=turn, **QUIET)

    def offers(self, event, file: gr.DownloadButton):
        """The file that `event` has made is fetched at once, by a click on its unseen button."""
        return event.success(js=FETCH.format(file.elem_id), **QUIET)


def _by_component(handler: Callable, outputs: dict) -> Callable:
    """`handler` with its answers by component, as Gradio takes them."""

    def placed(answer):
        if not answer:
            return gr.skip() if outputs else None
        return {  # copies: Gradio takes the values out of updates
            outputs[name]: dict(value) if isinstance(value, dict) else value
            for name, value in answer.items()
        }

    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def several(*inputs):
            with closing(handler(*inputs)) as answers:
                yield from map(placed, answers)

        return several

    @functools.wraps(handler)
    def one(*inputs):
        return placed(handler(*inputs))

    return one
