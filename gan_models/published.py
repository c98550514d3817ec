"""What others have published for the five systems: where it lies, and getting it.

    python -m gan_models.published list               what there is
    python -m gan_models.published fetch vox-adv      get it; the same command goes on after a break

Files are read by `gan_models.checkpoints`, which executes nothing in them, and stored as
`runs/NAME/weights`, with the sha256 of what came. Nothing is ever fetched unasked.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from gan_models import checkpoints, fetching, images
from gan_models.commands import ended_by_a_sentence
from gan_models.errors import UserError, unwritten
from gan_models.faces.finding import FAN, SFD
from gan_models.fetching import Progress
from gan_models.names import RUNS, holds_weights
from gan_models.weights import read_config


@dataclass(frozen=True)
class Published:
    """A published file."""

    name: str  # of it here
    system: str  # as weights call it; "faces": face_alignment's own
    file: str
    knows: str  # what it was trained on, in a few words
    megabytes: int  # about; 0: not known
    licence: str  # as published
    places: tuple[str, ...] = ()  # URLs that a program can read
    copied_by: str = ""  # else its authors put it there
    by_hand: tuple[str, ...] = ()  # pages of its authors, on which a person gets it
    where: str = ""  # in what a person gets there it is
    sha256: str = ""  # its first digits, where they are published
    whole: bool = False  # kept as it is; else imported as weights

    def folder(self) -> Path:
        """Where it goes."""
        if self.system == "faces":  # where face_alignment looks
            return Path(torch.hub.get_dir()) / "checkpoints"
        return RUNS / self.name

    def is_here(self) -> bool:
        if self.whole:
            return (self.folder() / self.file).is_file()
        return holds_weights(self.folder() / "weights")

    def about(self) -> str:
        """Markdown: all that a person should know before it is fetched."""
        size = f"about {self.megabytes} MB" if self.megabytes else "size not stated"
        places, hand = _links(self.places), _links(self.by_hand)
        if not places:
            where = f"A program cannot fetch it: get it by hand from {hand}{self.where}."
        elif self.copied_by:
            where = f"A copy that others made ({self.copied_by}) lies at {places}."
            where += f" By hand, from its authors: {hand}." if hand else ""
        else:
            where = f"It lies at {places}, where its authors put it."
        return (
            f"**{self.name}** knows {self.knows}. `{self.file}`, {size}. Licence: {self.licence}."
            f"\n\n{where} Nothing in the file is executed."
        )


def _links(urls: tuple[str, ...]) -> str:
    return ", ".join(f"[{fetching.host(url)}]({url})" for url in urls)


def fomm(name: str, knows: str, megabytes: int, *more: str, ending="-cpk.pth.tar") -> Published:
    """One of the First Order Motion Model's eight. Drive and Yandex are often over their quota."""
    release = "https://github.com/graphemecluster/first-order-model-demo/releases/download"
    return Published(
        name, "fomm", name + ending, f"{knows}, 256 px", megabytes,
        "MIT (code and weights); the clips remain their owners', for research",
        (f"{release}/checkpoints/{name}{ending}", *more),
        "graphemecluster, for the authors' own demo" + "; abhishek" * bool(more),
        (
            "https://drive.google.com/drive/folders/1PyQJmkdCsAkOYwUyaj_l-l0as-iLDgeH",
            "https://disk.yandex.com/d/lEw8uRm140L_eQ",
        ),
    )  # fmt: skip


def zoo(name: str, knows: str, start: str, sha256: str) -> Published:
    """Of three networks of 23 million numbers each; sha256: its first digits, in the name."""
    file = f"{start}-{sha256}.pth"
    place = f"https://dl.fbaipublicfiles.com/gan_zoo/PGAN/{file}"
    return Published(
        name, "progan", file, knows, 277, "BSD-3-Clause (code; the file says nothing)", (place,),
        sha256=sha256,
    )  # fmt: skip


def gaugan(kind: str, knows: str, megabytes: int) -> Published:
    return Published(
        f"gaugan-{kind}", "spade", "latest_net_G.pth", knows, megabytes,
        "CC BY-NC-SA 4.0 (non-commercial)",
        where=f", where it is {kind}_pretrained/latest_net_G.pth in checkpoints.tar.gz",
        by_hand=("https://drive.google.com/file/d/12gvlTbMvUcJewQlSEaZdeb2CdOB-b8kQ/view",),
    )  # fmt: skip


def stargan(name: str, file: str, knows: str, megabytes: int, key: str, **more) -> Published:
    place = f"https://www.dropbox.com/s/{key}/{file}?dl=1"
    licence = "CC BY-NC 4.0 (non-commercial)"
    return Published(name, "stargan_v2", file, knows, megabytes, licence, (place,), **more)


def face_alignment(name: str, file: str, knows: str, megabytes: int) -> Published:
    """The first digits of the sha256 are in the file's name."""
    place = f"https://www.adrianbulat.com/downloads/python-fan/{file}"
    return Published(
        name, "faces", file, knows, megabytes, "BSD-3-Clause (code; the file says nothing)",
        (place,), whole=True,
        sha256=file.partition("-")[2].partition(".")[0],
    )  # fmt: skip


HUB = "https://huggingface.co"
ALL = (
    fomm(
        "vox-adv", "filmed faces that talk, sharper (VoxCeleb)", 751,
        f"{HUB}/spaces/abhishek/first-order-motion-model/resolve/main/weights/vox-adv-cpk.pth.tar",
    ),
    fomm("vox", "filmed faces that talk (VoxCeleb)", 729),
    fomm("taichi", "people who do Tai-Chi", 729),
    fomm("taichi-adv", "people who do Tai-Chi, sharper", 751),
    fomm("fashion", "people who turn in clothes", 751, ending=".pth.tar"),
    fomm("nemo", "faces that begin to smile (UvA-NEMO)", 751),
    fomm("mgif", "drawn animals that walk (MGif)", 751),
    fomm("bair", "a robot's arm (BAIR)", 751),
    Published(
        "ganimation-replicate", "ganimation", "30_net_gen.pth",
        "photographed faces (CelebA or EmotioNet, which is not said), 128 px", 34,
        "MIT (code); the photographs are for non-commercial research",
        ("https://github.com/OpenTalker/video-retalking/releases/download/v0.0.1/30_net_gen.pth",),
        "the authors of VideoReTalking",
        ("https://drive.google.com/drive/folders/1DJHeeLwZ3OsbiesvH7UM44cB3NxhebxF",),
    ),
    gaugan("coco", "182 things and grounds of photographs (COCO-Stuff), 256 px", 390),
    gaugan("ade20k", "150 things of rooms and landscapes (ADE20K), 256 px", 386),
    gaugan("cityscapes", "35 things of German streets (Cityscapes), 512 x 256 px", 372),
    stargan(
        "afhq", "100000_nets_ema.ckpt", "cats, dogs and wild animals (AFHQ), 256 px", 232,
        "etwm810v25h42sn",
    ),
    stargan(
        "celeba-hq", "100000_nets_ema.ckpt", "women and men (CelebA-HQ), 256 px", 293,
        "96fmei6c93o8b8t",
    ),
    stargan(
        "wing", "wing.ckpt", "98 landmarks of a face", 0, "tjxpypwpt38926e", whole=True
    ),
    stargan(
        "celeba-landmarks", "celeba_lm_mean.npz", "where CelebA-HQ has these landmarks", 0,
        "91fth49gyb7xksk", whole=True,
    ),
    Published(
        "pggan-celebahq-1024", "progan", "pytorch_model.bin",
        "celebrities' faces (CelebA-HQ), 1024 px", 92,
        "apache-2.0, as its page says; the original is CC BY-NC 4.0 (non-commercial)",
        (f"{HUB}/huggan/pggan-celebahq-1024/resolve/main/pytorch_model.bin",),
        "the Hub's huggan, converted from the authors' file",
    ),
    zoo("zoo-celebahq-256", "celebrities' faces (CelebA-HQ), 256 px", "celebaHQ_s6_i80000",
        "6196db68"),
    zoo("zoo-celebahq-512", "celebrities' faces (CelebA-HQ), 512 px",
        "celebaHQ16_december_s7_i96000", "9c72988c"),
    zoo("zoo-celeba", "celebrities' faces (CelebA), 128 px", "celebaCropped_s5_i83000", "2b0acc76"),
    zoo("zoo-textures", "textures of 47 kinds (DTD), 128 px", "testDTD_s5_i96000", "04efa39f"),
    Published(
        "metfaces", "progan", "model_metfaces.bin", "faces in paintings (MetFaces), 1024 px", 0,
        "MIT (code; the file says nothing)",
        ("http://geometry.cs.ucl.ac.uk/projects/2021/pro_gan_pytorch/model_metfaces.bin",),
    ),
    Published(
        "pggan-official", "progan", "karras2018iclr-lsun-CATEGORY-256x256.pkl",
        "one of 30 categories of photographs (LSUN, 256 px) or celebrities' faces (1024 px), "
        "whichever you give", 0,
        "CC BY-NC 4.0 (non-commercial)",
        by_hand=("https://drive.google.com/drive/folders/15hvzxt_XxuokSmj0uO4xxMTMWVc0cIMU",),
    ),
    face_alignment("face-finder", SFD, "faces of any pose in photographs", 90),
    face_alignment("face-landmarks", FAN, "68 landmarks of a face", 96),
)  # fmt: skip
TABLE = {entry.name: entry for entry in ALL}


def of(system: str) -> list[Published]:
    """What is published for a system, imported as weights."""
    return [entry for entry in ALL if entry.system == system and not entry.whole]


def at_hub(repository: str) -> Published | None:
    """What lies in this repository of the Hub as its own project saved it."""
    place = f"{HUB}/{repository.partition('@')[0]}/resolve/"
    return next((one for one in ALL if any(url.startswith(place) for url in one.places)), None)


def named(name: str) -> Published:
    if name not in TABLE:
        raise UserError(
            f"Nothing published is called {name!r:.80}: give one of {', '.join(TABLE)}."
        )
    return TABLE[name]


# ---------------------------------------------------------------- getting it


def fetch(entry: Published) -> Iterator[Progress]:
    """Fetch and store it, yielding how far it is; close the generator to stop. What is here
    already stays. UserError with what can be done instead.
    """
    if entry.is_here():
        return
    if not entry.places:
        raise UserError(
            f"A program cannot fetch {entry.name}: get {entry.file} by hand from "
            f"{' or '.join(entry.by_hand)} and give it, with --given FILE or in the page."
        )
    file = entry.folder() / entry.file
    if file.is_file():  # it could not be stored the last time
        digest, url = fetching.sha256_of(file), entry.places[0]
    else:
        asked = entry.places, file, entry.sha256, entry.by_hand
        digest, url = yield from fetching.download(*asked)
    try:
        found = _read(entry, file)
    except UserError as error:
        file.unlink()
        raise UserError(f"{error} What was fetched is removed.") from error
    _store(entry, file, found, digest, f"fetched from {url}")
    if not entry.whole:
        file.unlink()


def take(entry: Published, file: Path) -> None:
    """Store a file that somebody got by hand. UserError for one that is something else, and where
    another is here.
    """
    if not file.is_file():
        raise UserError(f"{file} is not a file: give {entry.file}.")
    if entry.is_here():
        where = entry.folder() / entry.file if entry.whole else entry.folder()
        raise UserError(f"{entry.name} is here: to take another file, move {where} away first.")
    digest = fetching.sha256_of(file)
    if not digest.startswith(entry.sha256):
        raise UserError(
            f"{file.name} is not the {entry.file} that was published, whose sha256 begins with "
            f"{entry.sha256}: this one's is {digest}."
        )
    _store(entry, file, _read(entry, file), digest, "given by hand")


def _read(entry: Published, file: Path) -> dict:
    """What is to be imported of a file; UserError for another system's."""
    found = {} if entry.whole else checkpoints.read(file)
    if found and found["system"] != entry.system:
        raise UserError(f"{file.name} holds weights of {found['system']}, not of {entry.system}.")
    return found


def _store(entry: Published, file: Path, found: dict, digest: str, how: str) -> None:
    """The sum of the file is kept beside what is made of it."""
    if entry.whole:
        place = entry.folder() / entry.file
        try:
            if file != place:
                with images.written_whole(place) as part:
                    shutil.copyfile(file, part)
            place.with_name(f"{place.name}.sha256").write_text(f"{digest}  {entry.file}\n")
        except OSError as error:
            raise unwritten(place, error) from error
        return
    found["config"] |= {"published": entry.name, "sha256": digest}
    origin = f"\n`{entry.name}`, {how}. sha256 of the file: `{digest}`.\n"
    checkpoints.store(found, file, entry.folder() / "weights", origin=origin)


# ---------------------------------------------------------------- command line


def list_all() -> None:
    """Say what is published, for which system, how large, under which licence and where."""
    for entry in ALL:
        size = f"{entry.megabytes} MB" if entry.megabytes else "size not stated"
        state = "" if entry.places else ", to be got by hand"
        if came := fetching.there(entry.folder() / entry.file):
            state = f", {fetching.megabytes(came)} MB are here"
        state = ", here" if entry.is_here() else state
        print(f"{entry.name} ({entry.system}, {size}{state}): {entry.knows}")
        whose = f"a copy made by {entry.copied_by}" if entry.copied_by else "from its authors"
        print(f"    {entry.file}, {whose}. Licence: {entry.licence}.")
        for place in entry.places + entry.by_hand:
            print(f"    {place}")


def fetch_one(name: Annotated[str, tyro.conf.Positional], given: Path | None = None) -> None:
    """Get it, or take a file that was got by hand; it is then known by its name.

    Args:
        name: As `list` says it.
        given: The file, got by hand; then nothing is fetched.
    """
    entry = named(name)
    print(f"{entry.file}. Licence: {entry.licence}. Nothing in it is executed.")
    if given is not None:
        take(entry, given)
    file = entry.folder() / entry.file
    try:
        if not entry.is_here():
            fetching.with_bar(fetch(entry), entry.file)
    except KeyboardInterrupt:
        came = fetching.megabytes(fetching.there(file))
        raise KeyboardInterrupt(
            f"stopped at {came} MB: the same command goes on from there."
        ) from None
    if entry.whole:
        where, digest = file, fetching.sha256_of(file)
    else:
        where = entry.folder() / "weights"
        digest = read_config(where).get("sha256", "not kept")
    print(f"{where}\nsha256 of {entry.file}: {digest}")


def main(args: list[str] | None = None) -> None:
    commands, prog = {"list": list_all, "fetch": fetch_one}, "python -m gan_models.published"
    with ended_by_a_sentence():
        tyro.extras.subcommand_cli_from_dict(commands, prog=prog, args=args)


if __name__ == "__main__":
    main()
