from regard import axes


def test_every_axis_has_a_meaning_of_one_line():
    constants = {value for name, value in vars(axes).items() if name.isupper() and name != "AXES"}
    assert set(axes.AXES) == constants
    assert all(meaning and "\n" not in meaning for meaning in axes.AXES.values())


def test_the_axes_of_the_design_are_there_in_its_order():
    names = "sample step layer head query key token y x condition seed prompt"
    of_design = [name for name in axes.AXES if name in names.split()]
    assert of_design == names.split()
