"""Styles of seeds, as they travel through the page: a dict with a "name" that a visitor reads."""

from gan_models.seeds import check_seed


def of_seed(seed: object) -> dict:
    """{"name", "seed"}. Raises UserError for what is not a seed."""
    seed = check_seed(seed)
    return {"name": f"seed {seed}", "seed": seed}


def name_of(first: dict, second: dict, share: float) -> str:
    """Of a mix, `share` percent of the way from the first style to the second."""
    if share in (0, 100):
        return (second if share else first)["name"]
    return f"{first['name']} to {second['name']}, {share:g} %"
