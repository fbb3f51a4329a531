"""Two toy encoders with their tokenizers; they know the words of the toy task."""

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from toy_data import CLASS_WORDS, FILLER
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)


def save_tokenizer(tokenizer, folder, special_tokens, input_names):
    """Save a toy tokenizer; the special tokens in this order: padding, unknown, first, separator, mask."""
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **dict(zip(names, special_tokens, strict=True)),
        model_input_names=input_names,
        model_max_length=64,
    ).save_pretrained(folder)


def save_toy_bert(folder):
    """Save a random BERT: 4 layers, width 32, lower-case WordPiece."""
    words = [*(word for words in CLASS_WORDS.values() for word in words), *FILLER]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    vocabulary += [*"abcdefghijklmnopqrstuvwxyz.,?!'-|<>", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
    numbers = {token: number for number, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", numbers["[CLS]"]), ("[SEP]", numbers["[SEP]"])],
    )
    save_tokenizer(tokenizer, folder, vocabulary[:5], ["input_ids", "token_type_ids", "attention_mask"])
    torch.manual_seed(1)
    BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=4,
            initializer_range=0.1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
        )
    ).save_pretrained(folder)


def save_toy_roberta(folder):
    """Save a random RoBERTa: 2 layers, width 48, byte-level BPE."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = [*(word for words in CLASS_WORDS.values() for word in words), *FILLER]
    tokenizer.train_from_iterator([" ".join(words)] * 3, trainer)
    numbers = {token: tokenizer.token_to_id(token) for token in ("<s>", "<pad>", "</s>")}
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", numbers["</s>"]), ("<s>", numbers["<s>"]))
    save_tokenizer(tokenizer, folder, ["<pad>", "<unk>", "<s>", "</s>", "<mask>"], ["input_ids", "attention_mask"])
    torch.manual_seed(2)
    RobertaModel(
        RobertaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=48,
            num_hidden_layers=2,
            initializer_range=0.1,
            num_attention_heads=2,
            intermediate_size=96,
            max_position_embeddings=66,
            type_vocab_size=1,
            pad_token_id=numbers["<pad>"],
            bos_token_id=numbers["<s>"],
            eos_token_id=numbers["</s>"],
        )
    ).save_pretrained(folder)


def save_toy_classifier(folder, encoder, task, epochs=15):
    """Fine-tune a toy encoder by plain transformers; its classes stand in another order than the task's."""
    torch.manual_seed(3)
    names = task.label_names[::-1]
    numbers = {name: number for number, name in enumerate(names)}
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder, id2label=dict(enumerate(names)), label2id=numbers
    )
    tokens = tokenizer(task.texts("train"), padding=True, return_tensors="pt")
    labels = torch.tensor([numbers[task.label_names[label]] for label in task.labels("train")])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(epochs):
        model(**tokens, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
