"""What the events of a session say: the type of each one's data, by subject.

Data is JSON with camelCase names. Times are ISO 8601 with offset, money is a decimal string, durations are seconds. An
*effect* is anything done outside the log; its ``id`` (``e17``) follows from the sequence of the event that asked for
it, and so does its key.
"""
