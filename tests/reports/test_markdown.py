from personaplug.evaluation.comparison import compare
from personaplug.reports.markdown import to_markdown
from tests.evaluation.factories import make_examples, make_report, make_reports


def cells(text):
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in text.replace("\N{MINUS SIGN}", "-").splitlines()
        if line.startswith("|")
    ]


def test_the_table_has_a_row_a_method_and_a_row_a_control_all_of_one_width():
    header, rule, *rows = cells(to_markdown(compare(make_reports(examples=make_examples(30)))))
    assert [title.strip() for title in header] == [
        "",
        "Accuracy ↑",
        "Macro-F1 ↑",
        "Nats per token ↓",
        "Nats per answer ↓",
    ]
    assert [row[0] for row in rows] == [
        "**plain**",
        "**tuned-prompt**",
        "**plug**",
        "**plug, stranger's history**",
        "plug: own minus stranger's",
    ]
    assert {len(row) for row in (header, rule, *rows)} == {5}
    assert rows[2][3] == "**0.800** [0.800, 0.800]<br>-0.400 [-0.400, -0.400], p 0.002, better"
    assert rows[1][3] == "**1.200** [1.200, 1.200]"


def test_a_name_cannot_break_the_table():
    [_, _, row] = cells(to_markdown(compare({"a|b\n`<i>`": make_report()})))
    assert row[0] == r"**a\|b \`\<i\>\`**"
    assert len(row) == 5
