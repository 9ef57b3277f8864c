from senorita_lib.evaluation import SPLITS
from senorita_lib.figures.studies import study_figure


def test_dots_are_the_seeds():
    errors = {"a": [dict.fromkeys(SPLITS, mm) for mm in (10.0, 20.0)]}
    errors["b"] = [dict.fromkeys(SPLITS, mm) for mm in (12.0, 16.0)]
    errors["c"] = [dict.fromkeys(SPLITS, mm) for mm in (130.0, 132.0)]
    study = {"errors": errors, "bone_lengths": {"a": [0.9, 1.0], "b": [0.7, 0.8], "c": [0.5, 0.6]}}
    left, right = study_figure(study).axes
    dots = [line for line in left.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in dots][:2] == [[10.0, 20.0], [12.0, 16.0]]
    assert [label.get_text() for label in left.get_yticklabels()] == ["a", "b", "c"]
    assert left.get_xlim()[1] < 30 and [text.get_text() for text in left.texts] == ["131 mm →"]
    assert list(right.lines[0].get_xdata()) == [0.9, 1.0]
