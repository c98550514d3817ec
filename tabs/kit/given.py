"""What a visitor gives."""

import gradio as gr
from gradio.data_classes import FileData


class PictureFile(gr.Image):
    """An image whose value stays the file that was given: its label, size and depth are kept, and
    what is wrong with it is for the handlers to say.

    `gr.Image` itself takes any path of the computer that a request names without `meta`; as
    `FileData`, only what was uploaded is taken.
    """

    is_template = True  # in the browser a gr.Image
    data_model = FileData

    def preprocess(self, payload: FileData | None) -> str | None:
        return payload.path if payload else None
