"""What runs at inference: importable without gradio and without the trainers.

    progan/      the ProGAN networks, the pipeline (latents in, pictures out), its command line
    fomm/        FOMM: networks, pipeline (a picture and a clip in, frames out), its command line
    weights.py   self-describing weights folders: save, load, build networks
    names.py     where weights are: folder, shipped name, run, Hub
    hub.py       weights folders on the Hugging Face Hub: cached copy first, then one online try
    checkpoints.py   reads the checkpoints that others published, and stores them as weights
    published.py what was published, where it lies, and getting it; fetching.py: one large file
    commands.py  what the command lines have alike
    errors.py    UserError: what a person can mend
    devices.py   which device, which precision
    folding.py   folded layers that two systems share
    images.py    pictures (uint8) and tensors: read, resize, crop, grids, save
    video/       clips: read at one constant rate and written frame by frame, sound in step
    faces/       finds, frames and crops faces, and pastes a moved crop back

Each is imported by its own name; importing this package does no work.
"""
