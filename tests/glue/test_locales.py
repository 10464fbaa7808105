"""The words of the nodes in other tongues: each has what English has, and what is no word of a tongue is the same."""

import json
import re
import subprocess
import sys

import pytest
from repository import REPO

LANGUAGES = ("en", "zh", "ja", "ko", "fr", "de", "es")
# The message format of the front end gives these a meaning.
OF_THE_FORMAT = re.compile(r"[{}@|$]")
# By what people find the pack, in the front ends that look at display names alone, and as far as they look.
FOUND_BY, LOOKED_AT = ("faster", "sdxl", "cache"), 30


# What scripts have translated, and texts that they may hand on by a name.
TRANSLATED = re.compile(r'\btranslate\(\s*"([^"]*)"')
TEXT = re.compile(r'"([^"\n]*)"')
PLACEHOLDER = re.compile(r"\{\w+\}")


def words(language: str, file="nodeDefs") -> dict:
    return json.loads((REPO / "locales" / language / f"{file}.json").read_text(encoding="utf-8"))


def texts_of_scripts(pattern: re.Pattern) -> set[str]:
    scripts = [path.read_text(encoding="utf-8") for path in (REPO / "web").glob("*.js")]
    return {text for script in scripts for text in pattern.findall(script)}


def leaves(tree, at=()) -> dict:
    """{path: text}"""
    if isinstance(tree, str):
        return {at: tree}
    return {path: text for key, branch in tree.items() for path, text in leaves(branch, (*at, key)).items()}


def code_words(text: str) -> set[str]:
    """Names of settings, addresses, numbers: what has an underscore, a digit or a point inside."""
    found = (word.strip(".:") for word in re.findall(r"[A-Za-z0-9_.*/-]+", text))
    return {word for word in found if re.search(r"[0-9_]|\w\.\w", word) and "docs/" not in word}


def test_english_is_made_from_the_schemas():
    check = subprocess.run([sys.executable, REPO / "scripts" / "locales.py", "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr


def test_a_wheel_has_them():
    assert '\n"comfyui_asdm/locales" = "locales"\n' in (REPO / "pyproject.toml").read_text(encoding="utf-8")
    assert "locales" not in (REPO / ".comfyignore").read_text(encoding="utf-8")


def test_the_languages_are_these():
    assert sorted(folder.name for folder in (REPO / "locales").iterdir()) == sorted(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_keys_and_something_to_say(language):
    found = leaves(words(language))
    assert found.keys() == leaves(words("en")).keys()
    assert all(text.strip() == text and text for text in found.values())
    assert not [path for path, text in found.items() if OF_THE_FORMAT.search(text)]


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_names_and_numbers_are_those_of_the_english_text(language):
    english, translated = leaves(words("en")), leaves(words(language))
    for path, text in english.items():
        if path[-1] not in ("tooltip", "description"):
            continue
        lost = {word for word in code_words(text) if word not in translated[path]}
        assert not lost, (path, lost)
        assert translated[path] != text, path


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_main_node_is_found_by_what_people_type_in_every_language(language):
    name = words(language)["ASDMFeatureInheritance"]["display_name"].lower()
    assert all(0 <= name.find(word) <= LOOKED_AT for word in FOUND_BY), name


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_label_keeps_the_name_of_a_setting_that_the_documents_speak_of(language):
    inputs = words(language)["ASDMFeatureInheritance"]["inputs"]
    for name, given in inputs.items():
        assert name == "model" or name in given["name"], name


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_what_scripts_say_is_said_in_every_language(language):
    translations = words(language, "main")["ASDM"]
    assert texts_of_scripts(TRANSLATED) <= translations.keys() <= texts_of_scripts(TEXT)
    assert translations.keys() == words("de", "main")["ASDM"].keys()
    for english, text in translations.items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(english)), english
        assert text.strip() == text and text and text != english or english.startswith("plan {"), english
