"""What was said, kept for who may go on with it: the state behind ``previous_response_id``.

No provider keeps a conversation for us; see ``docs/decisions/0014-responses-state.md``.
"""
