"""Names of headers and of methods of HTTP: `hdrs.CONTENT_TYPE` is `Content-Type`, and `hdrs.METH_POST` is `POST`."""


def __getattr__(name: str) -> str:
    if not name.isupper():
        raise AttributeError(name)
    if name.startswith("METH_"):
        found = name.removeprefix("METH_")
        return "*" if found == "ANY" else found
    # Case makes no difference in names of headers.
    return "-".join(one.capitalize() for one in name.split("_"))
