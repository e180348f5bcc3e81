"""Take a trained model away as a folder, which `python search.py "a question"` then searches."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import httpx


def download_model(studio: str, token: str, run_id: str, into: Path) -> Path:
    """The folder with the model of a completed run; `studio` is like http://localhost:8501."""
    answer = httpx.get(
        f"{studio}/v1/api/deep-memory/runs/{run_id}/model",
        headers={"Authorization": f"Bearer {token}"},
        timeout=300,
    )
    answer.raise_for_status()
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(into)
    return into / "deep-memory-model"
