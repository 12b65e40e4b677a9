import torch

from personaplug.rivals.learned_retrieval.selector import PromptSelector, option_texts
from tests import tiny


def test_before_training_all_retrievers_are_as_good_and_the_first_is_taken():
    selector = PromptSelector(tiny.text_encoder(), 3)
    assert selector.logits(["tea"], [["a", "b", "c"]]).tolist() == [[0.0, 0.0, 0.0]]
    assert selector.choose(["tea"], [["a", "b", "c"]]) == [0]


def test_the_score_of_an_option_depends_on_query_and_option_and_on_its_place():
    selector = PromptSelector(tiny.text_encoder(), 2)
    torch.nn.init.normal_(selector.head.weight)  # not ones: a normed vector sums up to nothing
    (alike,) = selector.logits(["tea"], [["same", "same"]]).tolist()
    (other,) = selector.logits(["rain"], [["same", "other"]]).tolist()
    assert alike[0] == alike[1]
    assert len({alike[0], *other}) == 3
    with torch.no_grad():
        selector.bias[1] = 9.0
    assert selector.choose(["tea"], [["same", "same"]]) == [1]


def test_options_that_are_equal_are_encoded_once_and_scored_as_ever(monkeypatch):
    selector = PromptSelector(tiny.text_encoder(), 3)
    torch.nn.init.normal_(selector.head.weight)
    queries, options = ["tea", "rain"], [["b", "a", "b"], ["a", "a", "c"]]
    each = [selector.logits([query], [row]) for query, row in zip(queries, options, strict=True)]
    encoded, encode = [], selector.encoder.encode_items
    monkeypatch.setattr(selector.encoder, "encode_items", lambda texts: encoded.extend(texts) or encode(texts))
    torch.testing.assert_close(selector.logits(queries, options), torch.cat(each))
    assert encoded == ["tea\nb", "tea\na", "rain\na", "rain\nc"]


def test_an_answer_is_read_before_the_prompt_it_answers():
    prompts = [("tea a", "tea b"), ("rain a", "rain b")]
    asked = []

    def answer(column):
        asked.append(column)
        return [prompt.upper() for prompt in column]

    assert option_texts(prompts, answer) == [("TEA A\ntea a", "TEA B\ntea b"), ("RAIN A\nrain a", "RAIN B\nrain b")]
    assert asked == [("tea a", "rain a"), ("tea b", "rain b")]
    assert option_texts(prompts, None) == prompts
    assert option_texts([], answer) == []


def test_a_reader_of_whole_prompts_reads_them_in_lower_case_and_the_answer_behind():
    prompts = [("Tea A", "Tea B")]
    assert option_texts(prompts, None, reads="prompt") == [("tea a", "tea b")]
    assert option_texts(prompts, lambda column: [f"Yes to {p}" for p in column], reads="prompt") == [
        ("tea a\nYes to Tea A", "tea b\nYes to Tea B")
    ]


def test_a_reader_of_whole_prompts_scores_pooled_states_of_the_option_alone_and_favours_no_place():
    encoder = tiny.text_encoder()
    selector = PromptSelector(encoder, 2, reads="prompt")
    torch.nn.init.normal_(selector.head.weight)
    logits = selector.logits(["tea"], [["a", "b"]])
    wanted = selector.head(encoder.as_pooled().encode(["a", "b"]))[:, 0]
    torch.testing.assert_close(logits[0], wanted, atol=1e-4, rtol=1e-4)
    logits[0, 0].backward()
    assert selector.bias.grad is None
    assert torch.equal(selector.logits(["rain"], [["a", "b"]]), logits)
