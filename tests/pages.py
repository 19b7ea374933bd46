"""Reading pages: as HTML, and as Chromium shows them."""

import base64
import html.parser
import json
import os
import re
import subprocess

import numpy as np


class Page(html.parser.HTMLParser):
    """What a browser makes of a page: tags with their attributes, the text outside scripts, the embedded data."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self.open, self.data = [], [], [], None
        with open(path, encoding="utf-8") as file:
            self.source = file.read()
        self.feed(self.source)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        tag, attributes = self.open[-1] if self.open else (None, {})
        if attributes.get("id") == "data":
            self.data = json.loads(data)
        elif tag not in ("script", "style"):
            self.words.append(data)


def unpack(text, dtype):
    return np.frombuffer(base64.b64decode(text), np.dtype(dtype).newbyteorder("<"))


def browse(path, script):
    """The Page as it is in Chromium once a script has run at its end."""
    with open(path) as file, open("browsed.html", "w") as copy:
        copy.write(f"{file.read()}<script>{script}</script>")
    command = [
        "chromium",
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={os.getcwd()}/profile",
        "--dump-dom",
    ]
    dom = subprocess.run(
        [*command, f"file://{os.getcwd()}/browsed.html"], capture_output=True, text=True, timeout=60
    ).stdout
    with open("dom.html", "w") as file:
        file.write(dom)
    return Page("dom.html")
