"""The operations of a city from outside: a typed client, blocking and asynchronous.

``generated/`` and ``operations.json`` are written from the operation registry by ``make docs``; the rest is by hand.
"""
