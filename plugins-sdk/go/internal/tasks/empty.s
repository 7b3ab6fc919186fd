// With this file beside them, functions may be declared without a body.
