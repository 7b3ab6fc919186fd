"""The names that plugins import to read encrypted files. The host encrypts and decrypts."""
