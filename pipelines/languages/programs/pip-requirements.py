"""Reads a requirements.txt in which every entry has its version and hashes, and writes it anew in the one form that pip
is then given: options, addresses and other files could lead pip elsewhere or switch its checks off."""

import re
import sys

NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
ENTRY = re.compile(
    rf"(?P<name>{NAME})\s*(?P<extras>\[\s*{NAME}(?:\s*,\s*{NAME})*\s*\])?"
    r"\s*==\s*(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)"
    r"\s*(?:;\s*(?P<marker>[A-Za-z0-9_ .,<>=!~()'\"]+?))?"
    r"(?P<hashes>(?: --hash\S*)*)"
)
HASH = re.compile(r"--hash=(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")


def logical_lines(text):
    """Lines without comments and needless blanks, joined where one ends in a backslash."""
    line = ""
    for part in text.splitlines():
        part = re.sub(r"(^|\s+)#.*$", "", part)
        line += part.removesuffix("\\") + (" " if part.endswith("\\") else "")
        if not part.endswith("\\"):
            yield " ".join(line.split())
            line = ""
    yield " ".join(line.split())


def read(line):
    """The entry in its one form; a ValueError says why it is refused."""
    entry = ENTRY.fullmatch(line.replace(" --hash ", " --hash="))
    if entry is None:
        if line.startswith("-"):
            raise ValueError("is an option; all that pip is told stands in the signed definition")
        if re.search(r"(^|\s|@)[a-z+]+:/|\s@\s", line):
            raise ValueError("comes from an address, but dependencies come from the package index only")
        raise ValueError("does not fix a version; write name==version with its hashes")
    hashes = entry["hashes"].split()
    if not hashes:
        raise ValueError("has no hash; let pip-compile --generate-hashes write the file")
    if not all(HASH.fullmatch(one) for one in hashes):
        raise ValueError("has a hash that is not SHA-256, SHA-384 or SHA-512 in full")
    extras = re.sub(r"\s", "", entry["extras"] or "")
    marker = f" ; {entry['marker']}" if entry["marker"] else ""
    return " ".join([f"{entry['name']}{extras}=={entry['version']}{marker}", *hashes])


def main(source, target):
    with open(source, encoding="utf-8") as file:
        lines = [line for line in logical_lines(file.read()) if line]
    entries, problems = [], []
    for line in lines:
        try:
            entries.append(read(line))
        except ValueError as problem:
            problems.append(f"refused: {source}: {re.sub(' --hash.*', '', line)!r} {problem}")
    if problems:
        sys.exit("\n".join(problems))
    with open(target, "w", encoding="utf-8") as file:
        file.writelines(f"{entry}\n" for entry in entries)


main(*sys.argv[1:])
