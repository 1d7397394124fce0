"""The 276 two-subject prompts of the Attend-and-Excite benchmark, in published order."""

from regard.errors import unknown

ANIMAL_PAIRS = """
elephant-rabbit dog-frog bird-mouse monkey-frog horse-monkey bird-turtle bird-lion lion-monkey
horse-turtle bird-monkey bear-frog bear-turtle dog-elephant dog-horse turtle-mouse cat-turtle
dog-mouse cat-elephant cat-bird dog-monkey lion-mouse bear-lion bird-elephant lion-turtle dog-bird
bird-rabbit elephant-turtle lion-elephant cat-rabbit dog-bear dog-rabbit cat-bear bird-horse
rabbit-mouse bird-bear bear-monkey horse-frog cat-horse frog-rabbit bear-mouse monkey-rabbit cat-dog
lion-frog frog-mouse dog-lion lion-rabbit elephant-frog frog-turtle cat-lion horse-rabbit cat-monkey
bear-rabbit turtle-rabbit elephant-monkey bird-frog lion-horse bear-horse bear-elephant horse-mouse
dog-turtle monkey-mouse cat-frog monkey-turtle horse-elephant cat-mouse elephant-mouse
""".split()

WORN = ("bow", "crown", "glasses")
"""Objects that an animal is 'with', and that take no colour there."""

COLOUR_COLUMNS = [
    "apple",
    "backpack",
    "balloon",
    "bench",
    "bowl",
    "car",
    "chair",
    "clock",
    "suitcase",
]
COLOUR_TABLE = {
    "bear": "pink orange red gray purple white white blue red",
    "bird": "yellow black brown purple black yellow green white black",
    "cat": "red blue yellow gray purple yellow black green black",
    "dog": "black brown blue pink gray purple orange gray green",
    "elephant": "orange pink green green green brown black yellow green",
    "frog": "black yellow purple pink green orange black green red",
    "horse": "green blue pink blue brown white pink yellow green",
    "lion": "gray black brown white pink red white yellow orange",
    "monkey": "orange yellow green brown green red blue yellow orange",
    "mouse": "pink brown black red purple red purple blue pink",
    "rabbit": "orange orange white white blue yellow gray gray yellow",
    "turtle": "pink gray pink white yellow yellow blue blue orange",
}

ANIMAL_OBJECTS = """
horse glasses; bear glasses; monkey car; elephant bow; frog balloon; mouse bow; bird crown; turtle
bowl; rabbit chair; dog apple; rabbit bench; lion clock; turtle backpack; elephant balloon; monkey
apple; lion car; lion crown; bird bench; rabbit backpack; rabbit apple; monkey bowl; frog suitcase;
monkey balloon; cat glasses; bear clock; cat bench; bear crown; lion bow; bear balloon; bird
backpack; horse balloon; turtle car; lion glasses; cat balloon; horse clock; dog glasses; horse
backpack; frog bow; elephant glasses; mouse bench; bird balloon; monkey backpack; turtle balloon;
cat apple; monkey bench; rabbit glasses; bear bench; turtle clock; monkey chair; turtle chair; dog
bow; elephant chair; mouse chair; bear car; lion backpack; dog crown; horse apple; dog clock; dog
car; dog bowl; monkey bow; mouse clock; bird bowl; horse car; mouse apple; bear backpack; elephant
clock; bird chair; mouse balloon; turtle bench; bird bow; turtle crown; bird car; frog car; dog
bench; frog crown; frog bowl; frog bench; horse bow; bird apple; monkey crown; cat backpack; turtle
apple; dog chair; horse suitcase; elephant crown; monkey suitcase; turtle suitcase; lion apple;
mouse crown; mouse glasses; horse bowl; monkey clock; turtle bow; dog backpack; cat bowl; lion
bench; rabbit bowl; lion balloon; horse chair; elephant bench; rabbit balloon; elephant backpack;
lion suitcase; elephant apple; elephant suitcase; horse crown; bear bow; rabbit suitcase; horse
bench; dog suitcase; mouse car; cat chair; bear suitcase; rabbit clock; bear apple; lion chair;
rabbit crown; mouse bowl; frog apple; rabbit bow; mouse suitcase; lion bowl; frog chair; frog clock;
bear chair; elephant car; turtle glasses; cat suitcase; cat car; frog backpack; bird suitcase; cat
crown; rabbit car; cat bow; bird clock; cat clock; bear bowl; monkey glasses; frog glasses; elephant
bowl; bird glasses; dog balloon; mouse backpack
"""

OBJECT_PAIRS = """
pink crown / purple bow; blue clock / blue apple; blue balloon / orange bench; pink crown / red
chair; orange chair / blue clock; purple bowl / black bench; green glasses / black crown; purple
chair / red bow; yellow glasses / black car; orange backpack / purple car; white balloon / white
apple; brown suitcase / black clock; yellow backpack / purple chair; gray backpack / green clock;
blue crown / red balloon; gray suitcase / black bowl; brown balloon / pink car; black backpack /
green bow; blue balloon / blue bow; white bow / white car; orange bowl / purple apple; brown chair /
white bench; purple crown / blue suitcase; yellow bow / orange bench; yellow glasses / brown bow;
red glasses / red suitcase; pink bow / gray apple; gray crown / white clock; black car / white
clock; brown bowl / green clock; green backpack / yellow crown; orange glasses / pink clock; purple
chair / orange bowl; orange suitcase / brown bench; white glasses / orange balloon; yellow backpack
/ gray apple; green bench / red apple; gray backpack / yellow glasses; green glasses / yellow chair;
white glasses / gray apple; gray suitcase / brown bow; white car / black bowl; purple car / pink
apple; gray crown / purple apple; orange car / red bench; red suitcase / blue apple; red backpack /
yellow bowl; red bench / yellow clock; black backpack / pink balloon; blue suitcase / gray balloon;
yellow glasses / gray bowl; white suitcase / white chair; purple crown / blue bench; yellow bow /
pink bowl; green backpack / brown suitcase; green glasses / black bench; white bow / black clock;
red crown / black bowl; green chair / purple car; white chair / gray balloon; pink chair / gray
apple; yellow suitcase / yellow car; green backpack / purple bench; black crown / red car; green
balloon / pink bowl; purple balloon / white clock
"""


def prompts(subset: str = "all") -> tuple[str, ...]:
    """The benchmark's prompts in published order; the article is 'a' but for 'an elephant'.

    Args:
        subset: 'animals' (66 prompts), 'animals_objects' (144), 'objects' (66) or 'all' (276).

    Returns:
        Lower-case prompts without a final full stop.

    Raises:
        UnknownName: there is no such subset.

    Example:
        >>> prompts("objects")[0]
        'a pink crown and a purple bow'
        >>> len(prompts())
        276

    Source:
        Chefer et al. (2023), "Attend-and-Excite", arXiv 2301.13826; list published by the authors
        under the MIT licence.
    """
    makers = {
        "animals": _animals,
        "animals_objects": _animals_objects,
        "objects": _objects,
    }
    if subset == "all":
        return tuple(prompt for make in makers.values() for prompt in make())
    if subset not in makers:
        raise unknown("set of prompts", subset, [*makers, "all"])
    return tuple(makers[subset]())


def _animals() -> list[str]:
    pairs = (pair.split("-") for pair in ANIMAL_PAIRS)
    return [f"{_a(first)} and {_a(second)}" for first, second in pairs]


def _animals_objects() -> list[str]:
    return [_animal_object(*pair.split()) for pair in ANIMAL_OBJECTS.split(";")]


def _animal_object(animal: str, thing: str) -> str:
    if thing in WORN:
        return f"{_a(animal)} with a {thing}"
    colour = COLOUR_TABLE[animal].split()[COLOUR_COLUMNS.index(thing)]
    return f"{_a(animal)} and a {colour} {thing}"


def _objects() -> list[str]:
    pairs = (" ".join(pair.split()).split(" / ") for pair in OBJECT_PAIRS.split(";"))
    return [f"a {first} and a {second}" for first, second in pairs]


def _a(noun: str) -> str:
    return f"an {noun}" if noun == "elephant" else f"a {noun}"
