"""The operations of a city as methods.

Generated from the operation registry by `make docs`; edits are overwritten.
"""
