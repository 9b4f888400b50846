"""reStructuredText of the report."""


def heading(text: str) -> str:
    return f"{text}\n{'-' * len(text)}"


def list_table(title: str, rows: list[list[str]]) -> str:
    """A reStructuredText table whose first row is its header."""
    lines = [f".. list-table:: {title}", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines)
