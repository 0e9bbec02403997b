"""Eight real posts: what is printed about each, and the picture of them."""

from finished_runs import LABELS
from PIL import Image
from tiny_models import save_tiny

from hybridsent.evaluation.first_posts import POSTS, main


def test_every_kind_of_post_has_a_row_and_the_picture_is_drawn(tmp_path, capsys):
    save_tiny(tmp_path / "model")
    figure = tmp_path / "figures" / "posts.png"
    assert main(["--model", str(tmp_path / "model"), "--figure", str(figure)]) == 0
    lines = capsys.readouterr().out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("text "))
    rows = lines[head + 1 : head + 1 + len(POSTS)]
    starts = [lines[head].index(name) for name in ("image ", "label ", "p ", "decided", "text (w")]
    for row, (text, image) in zip(rows, POSTS, strict=True):
        post, label, decided = row[: starts[1]], row[starts[1] : starts[2]], row[starts[3] :]
        assert post.split("  ")[0] == (text or "-")
        assert post[starts[0] :].strip() == (image or "-")
        assert label.strip() in LABELS
        if text is None or image is None:
            assert decided.startswith("image" if text is None else "text")
            assert decided.count("(1.00)") == 1
    with Image.open(figure) as drawn:
        assert drawn.width == 960
