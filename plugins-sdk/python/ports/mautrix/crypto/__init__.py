"""What plugins import to read encrypted files. The host encrypts and decrypts."""
