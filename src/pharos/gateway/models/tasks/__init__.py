"""What a model can be asked for beside an answer: vectors of texts, and the length of a prompt.

Such a call takes the same way through the same layers as every other; a ``Task`` on it says how it is put to a
provider.
"""
