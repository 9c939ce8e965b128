"""``python -m docs.writing``: write what code writes in the documents."""

from docs.writing.documents import ROOT, written

for path, text in written().items():
    if path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")  # noqa: T201
