"""Shared by the tests of stimuli."""

import pytest


@pytest.fixture
def study_folder(tmp_path, monkeypatch):
    """Downloads and what is unpacked go where the study is: here."""
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")
