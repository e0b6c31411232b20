"""Pictures are known as ours in every format, and those of others are not."""

import numpy as np
import pytest
from PIL import Image

from bodyplan.evaluation.video import encode_webp
from bodyplan.rendering.picture_mark import is_marked
from bodyplan.rendering.robot_images import IMAGE_FORMATS, save_image
from bodyplan.report.small_multiples import new_panels

GREY = np.full((16, 24, 3), 128, np.uint8)


@pytest.mark.parametrize("suffix", IMAGE_FORMATS)
def test_images_are_marked(tmp_path, suffix):
    ours, other = tmp_path / f"ours{suffix}", tmp_path / f"bodyplan{suffix}"
    save_image(ours, GREY)
    Image.fromarray(GREY).save(other)
    assert is_marked(ours)
    assert not is_marked(other)
    assert not is_marked(tmp_path / f"missing{suffix}")
    assert np.asarray(Image.open(ours).convert("RGB")).shape == GREY.shape


def test_films_are_marked(tmp_path):
    film = tmp_path / "film.webp"
    film.write_bytes(encode_webp(np.stack([GREY, GREY // 2])))
    assert is_marked(film)


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_figures_are_marked(tmp_path, suffix):
    path = tmp_path / f"figure.{suffix}"
    with new_panels(1, path):
        pass
    assert is_marked(path)
