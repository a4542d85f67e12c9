"""Every recipe of docs/recipes.md, run word for word in a folder that has only a few pictures."""

import pytest
from pages import DOCS, draw_photos, play, programs, sections

pytestmark = pytest.mark.timeout(600)
RECIPES = sections((DOCS / "recipes.md").read_text(encoding="utf-8"))
LEFT = {  # what a recipe leaves behind, or says
    "Train on my pictures": ["sheet.png", "runs/photos/curves.png", "cats"],
    "Write my own layer": ["softplus.py"],
    "Train my own network": ["runs/mynet/curves.png", "ghost"],
    "Fine-tune": ["runs/tuned/curves.png"],
    "Export to ONNX": ["*.onnx"],
    "Predict from Python": ["%"],
    "Compare two runs": ["compared.png", "adamw"],
    "Find a learning rate": ["runs/rate", "0.02"],
    "Look into a network": ["blocks.png", "trace.png", "stem.conv"],
    "Teach a class": ["class/ex01_sum_of_products.py", "conv.html"],
}


NEEDS = {"Export to ONNX": pytest.mark.onnx}


def test_every_recipe_is_tried():
    assert set(RECIPES) == set(LEFT) and len(LEFT) == 10


@pytest.mark.parametrize("name", [pytest.param(name, marks=NEEDS.get(name, pytest.mark.long)) for name in RECIPES])
def test_a_recipe_does_what_it_says(name, tmp_path):
    draw_photos(tmp_path / "photos")
    printed = play(RECIPES[name], tmp_path, programs(tmp_path))
    missing = [words for words in LEFT[name] if words not in printed and not list(tmp_path.glob(words))]
    assert not missing, f"{missing} neither printed nor written\n{printed}"
