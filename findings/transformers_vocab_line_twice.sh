#!/usr/bin/env bash
# Behaviour: BertTokenizer counts a vocab.txt in which a line stands twice by its distinct tokens, and
#            gives ids out by lines: the highest id is not below len(tokenizer).
# Version:   transformers==5.24.0, tokenizers==0.23.3 (Python 3.11).
# Seen:      nine lines, line 9 equal to line 6: len(tokenizer) 8, the id of that token 8; saving
#            keeps 8 tokens, one of them with the id 8, and no token has the id 5
# For us:    ids are the numbers of lines, and a vocabulary's size is its number of lines, whatever
#            its distinct tokens; a folder saved again has another fingerprint, which says so.
# Needs python3 with pip. Fails if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder/site" \
  transformers==5.24.0 tokenizers==0.23.3
export PYTHONPATH=$folder/site HF_HUB_OFFLINE=1
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' same other more same > "$folder/vocab.txt"
seen=$(cd "$folder" && python3 - <<'PY'
import json
import tokenizers
import transformers

tokenizer = transformers.BertTokenizer.from_pretrained(".")
tokenizer.save_pretrained("saved")
vocab = json.load(open("saved/tokenizer.json"))["model"]["vocab"]
print("versions: transformers", transformers.__version__ + ", tokenizers", tokenizers.__version__)
print("lines 9, len", len(tokenizer), "id", tokenizer.convert_tokens_to_ids("same"), "saved", len(vocab), "id 5", 5 in vocab.values())
PY
)
echo "expected: every id below len(tokenizer), as resize_token_embeddings(len(tokenizer)) needs"
echo "seen:"
echo "$seen"
grep -q "^lines 9, len 8 id 8 saved 8 id 5 False$" <<< "$seen"
