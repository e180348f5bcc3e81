"""The limits on reading a file. The README and the uploader name them."""

from __future__ import annotations

MAX_BYTES = 100_000_000
MAX_CHARACTERS = 20_000_000  # of text, counted while it is read
MAX_UNPACKED_BYTES = 200_000_000  # of a file that is packed (docx, xlsx, pptx, odt), or of a zip
CHARACTERS_OF_A_BLOCK = 20  # that a paragraph or row counts in addition: at most a million of them
MAX_ELEMENTS = (
    3_000_000  # of markup, in an office file or a web page; lines of a text; values of JSON
)
MAX_HEADER = 800  # characters of a table's header, which each chunk of the table repeats
MAX_WORD = 200_000  # characters without a space between them: not what a person wrote
MAX_MEMORY_BYTES = 500_000_000  # of the process that reads
MAX_MEMORY_WITH_OCR_BYTES = 700_000_000  # where text recognition is installed: large models
MAX_SILENT_S = 7.0  # of CPU time, without progress: three times what large files need
MAX_FILE_S = 300.0  # of CPU time for one file, with progress
MAX_IDLE_S = 30.0  # a process that is not asked to read anything ends
MAX_DEPTH = 3  # containers in containers
MAX_MEMBERS = 10_000  # files in a container
