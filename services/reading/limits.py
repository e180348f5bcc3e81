"""The limits on reading a file. The README and the uploader name them."""

from __future__ import annotations

MAX_BYTES = 100_000_000
MAX_CHARACTERS = 20_000_000  # of text, counted while it is read
MAX_UNPACKED_BYTES = 200_000_000  # of a file that is packed (docx, xlsx, pptx, odt), or of a zip
MAX_WORD = 200_000  # characters without a space between them: not what a person wrote
MAX_MEMORY_BYTES = 500_000_000  # of the process that reads
MAX_MEMORY_WITH_OCR_BYTES = 700_000_000  # where text recognition is installed: large models
MAX_SILENT_S = 10.0  # of CPU time, without any progress
MAX_FILE_S = 300.0  # of CPU time for one file, with progress
MAX_IDLE_S = 30.0  # a process that is not asked to read anything ends
MAX_DEPTH = 3  # containers in containers
MAX_MEMBERS = 10_000  # files in a container
