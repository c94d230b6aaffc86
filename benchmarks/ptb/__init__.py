"""The Penn Treebank: a published size and a larger one, their language models, and every recipe against collapse."""
