"""What differs is named, briefly, and what may differ is not."""

from jaxconv.train.differences import differences


def test_values_in_objects_are_named_by_their_paths():
    there, now = {"a": 1, "b": {"c": [1, 2], "d": None}}, {"a": 2, "b": {"c": [1, 3], "d": None}, "e": 0}
    assert differences(there, now) == [
        "a: 1 there, 2 now",
        "b.c: [1, 2] there, [1, 3] now",
        "e: (not set) there, 0 now",
    ]
    assert differences(there, now, lenient=True) == ["a: 1 there, 2 now", "b.c: [1, 2] there, [1, 3] now"]
    assert differences(now, there, lenient=True)[-1] == "e: 0 there, (not set) now"
    assert not differences(there, there)


def test_of_names_those_are_named_that_differ():
    assert differences({"x": ["a", "b"]}, {"x": ["z", "b"]}) == ["x: only there 'a'; only now 'z'"]
    assert differences({"x": ["a", "b"]}, {"x": ["a", "b", "c"]}) == ["x: only now 'c'"]
    assert differences({"x": ["a", "b"]}, {"x": ["b", "a"]}) == ["x: in another order"]
    many = [f"n{i}" for i in range(1000)]
    assert differences({"x": many}, {"x": ["n0"]}) == ["x: only there 'n1', 'n2', 'n3', 'n4', 'n5' and 994 more"]


def test_what_is_measured_on_images_may_move_a_little():
    def moved(name, by):
        return differences({"preprocess": {name: [0.3, 0.2]}}, {"preprocess": {name: [0.3, 0.2 * by]}})

    assert not moved("mean", 1.005) and not moved("std", 1.005)
    assert moved("mean", 1.02) == ["preprocess.mean: [0.3, 0.2] there, [0.3, 0.20400000000000001] now"]
    assert moved("ema", 1.005)
    assert differences({"preprocess": {"mean": [0.3]}}, {"preprocess": {"mean": [0.3, 0.3]}})
