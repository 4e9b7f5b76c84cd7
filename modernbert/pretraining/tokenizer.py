"""A byte-level BPE tokenizer of one's own, with ModernBERT's special tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modernbert.activity import phase

# The order gives the ids: padding is 0.
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


@phase("learning a vocabulary")
def train_tokenizer(texts: Iterable[str], size: int, context: int) -> Any:
    """Learn `size` tokens from texts; return a transformers tokenizer.

    Byte-level (Radford et al. 2019): every text can be written, and read back letter by letter. Text is
    normalised to NFC first. No segment ids, as in ModernBERT.

    Args:
        texts: read once.
        size: entries of the vocabulary, special tokens among them; at least 261.
        context: the longest text, in tokens, that the tokenizer names as its limit.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in (SPECIAL["cls_token"], SPECIAL["sep_token"])]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=context,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        **SPECIAL,
    )
