"""The HTTP API's contract, held against a server that is known by its address only.

Every sentence of the API document that promises something has a test named after it. Without
options the server is one of our own; `--server-url`, `--login` and `--password` point the whole
suite at any other. What needs a server to stop, or its files, is skipped there with the reason.
"""
