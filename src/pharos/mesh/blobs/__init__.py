"""Large messages: their bytes are kept beside the log, by content, and the message says where.

``depot.py`` is what other rooms use; ``uploads.py`` and ``downloads.py`` are its faces on the wire, ``operations.py``
those of operations; ``collector.py`` removes what nobody has any more. Who has what is kept by ``store/blobs.py``.
"""
