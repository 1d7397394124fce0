"""The names of the dims of every labelled array, one definition each.

``AXES`` maps each name to its meaning, for the reference pages.
"""

SAMPLE = "sample"
STEP = "step"
LAYER = "layer"
HEAD = "head"
HEAD2 = "head2"
QUERY = "query"
KEY = "key"
TOKEN = "token"
Y = "y"
X = "x"
CONDITION = "condition"
SEED = "seed"
PROMPT = "prompt"

AXES: dict[str, str] = {
    SAMPLE: "one image of a batch",
    STEP: "denoising step, 0 is the first and the noisiest",
    LAYER: "one attention operation of the model, named by its module path, in running order",
    HEAD: "one head of an attention layer",
    HEAD2: "the other head, where two are compared",
    QUERY: "the position that attends",
    KEY: "the position that is attended to; weights sum to 1 over all keys",
    TOKEN: "one token of the text encoder, numbered as it numbers them",
    Y: "rows of image patches, from the top",
    X: "columns of image patches, from the left",
    CONDITION: "the guidance branch of a batch row: cond or uncond",
    SEED: "the number that decides the initial noise",
    PROMPT: "the text that an image is made from",
}
