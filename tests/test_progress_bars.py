"""How far a run is, in a file and below a cell."""

import io

from rich.console import Console

from imil import count_bar
from imil.count_bar import CountBar
from imil.notebook import cell_bar
from imil.training import progress_bars
from imil.training.loop import EpochResult
from imil.training.progress_bars import Bar


def lines(console):
    return console.file.getvalue().splitlines()


def test_a_file_gets_a_line_for_each_tenth_of_a_training():
    console = Console(file=io.StringIO(), width=80)
    bar = Bar(console, 40)
    bar.show(0)
    for epoch in range(1, 41):
        bar.advance(EpochResult(epoch, 40, 0.5, 0.75))
    bar.hide()
    assert len(lines(console)) == 10
    assert lines(console)[0] == "Epoch 4 of 40: loss 0.500  accuracy 0.750"


def test_a_file_gets_a_line_a_minute_of_what_takes_long(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(count_bar.time, "monotonic", lambda: clock[0])
    console = Console(file=io.StringIO(), width=80)
    with CountBar(console, "Decoding") as bar:
        for done in range(1, 131):
            clock[0] = float(done)
            bar.update(done, 200)
    assert lines(console) == ["Decoding 60 of 200", "Decoding 120 of 200"]


def test_a_cell_has_one_bar_that_is_updated_in_place(monkeypatch):
    clock, shown = [0.0], []
    monkeypatch.setattr(cell_bar.time, "monotonic", lambda: clock[0])
    for module in (count_bar, progress_bars):
        monkeypatch.setattr(module, "in_notebook", lambda: True)
    monkeypatch.setattr(cell_bar.CellOutput, "show", lambda self, html: shown.append((self, html)))
    console = Console(file=io.StringIO(), width=80)
    bar = Bar(console, 1000)
    bar.show(0)
    for epoch in range(1, 1001):
        clock[0] += 0.01
        bar.advance(EpochResult(epoch, 1000, 0.5, 0.75))
        if epoch == 500:
            bar.hide()  # a round
    bar.hide()
    assert lines(console) == []
    assert len({id(output) for output, _ in shown}) == 1
    assert 20 < len(shown) < 40  # at most every 0.3 s of 10
    assert 'value="1000"' in shown[-1][1]
    assert "Epoch 1000 of 1000 loss 0.500" in shown[-1][1]
