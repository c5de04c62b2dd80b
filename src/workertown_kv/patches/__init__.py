"""Make new values from present ones: merge patches, JSON Patch, and increments.

Everything here takes and returns JSON text. Numbers keep their text where a patch leaves them.
"""
