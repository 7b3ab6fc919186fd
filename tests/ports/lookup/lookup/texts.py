def shown(word: str, meanings: list, most: int) -> str:
    return f"{word}: " + "; ".join(meanings[:most])
