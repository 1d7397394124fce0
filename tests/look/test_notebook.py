import base64
import io
import re

import numpy as np
from PIL import Image

from looks import PROMPT, pipeline, seen
from regard.look import look_at
from regard.methods import drop
from regard.steering import steer


def images_in(document):
    data = re.findall(r'src="data:image/png;base64,([^"]+)"', document)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))) for each in data]


def test_a_notebook_shows_the_image_and_the_words():
    document = seen()._repr_html_()
    assert np.array_equal(images_in(document)[0], np.asarray(seen().image))
    assert PROMPT in document
    assert "<td>turtle</td>" in document


def test_a_notebook_shows_an_image_that_was_looked_at():
    found = look_at("fashion-vit", np.zeros((28, 28), np.uint8))
    assert np.array_equal(images_in(found._repr_html_())[0], np.asarray(found.image))


def test_a_notebook_shows_both_images_of_a_steering_and_what_changed():
    steered = steer(pipeline(), "a <cat>", [drop("cat")], num_inference_steps=1)
    document = steered._repr_html_()
    before, after = images_in(document)
    assert np.array_equal(before, np.asarray(steered.before.image))
    assert np.array_equal(after, np.asarray(steered.after.image))
    assert "a &lt;cat&gt;" in document
    assert "a <cat>" not in document
    assert steered.table["measure"].iloc[0] in document
