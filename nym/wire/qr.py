"""An address as a QR code (ISO/IEC 18004), to be scanned from a screen."""


def squares(text: str) -> list[str]:
    """The rows of the code, each a text of 1 for a dark square and 0 for a light one."""
    import segno  # imported here because it is slow to load and seldom used

    code = segno.make(text, micro=False)
    return ["".join("1" if dark else "0" for dark in row) for row in code.matrix]
