from trainer.report.palette import looks, text_on


def test_every_segment_of_a_report_looks_different() -> None:
    found = looks(range(32))
    assert len({(look.colour, look.hatch) for look in found.values()}) == 32


def test_ten_segments_differ_without_colour() -> None:
    assert len({look.marker for look in looks(range(10)).values()}) == 10


def test_a_segment_keeps_its_look_when_others_come_and_go() -> None:
    before, after = looks([0, 1, 2, 3]), looks([0, 1, 2, 4, 5], gone=[3])
    assert all(before[segment] == after[segment] for segment in (0, 1, 2, 3))


def test_a_segment_that_is_gone_leaves_its_look_to_one_that_is_there() -> None:
    assert looks([8], gone=[0])[8] == looks([0])[0]
    assert looks([8], gone=[0])[0] != looks([0])[0]


def test_text_on_a_colour_is_the_one_that_reads_better() -> None:
    assert [text_on(colour) for colour in ("#F0E442", "#0072B2", "#FFFFFF", "#000000")] == [
        "#000000",
        "#FFFFFF",
        "#000000",
        "#FFFFFF",
    ]
